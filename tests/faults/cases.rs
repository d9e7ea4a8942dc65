//! What is put under fault: every command that writes in place, on every format and in every place a file can have.

use support::canary::Canary;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Yaml,
    Json,
    Dotenv,
    Ini,
    Binary,
}

/// A command that writes in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    Seal,
    Encrypt,
    Decrypt,
    Set,
    Unset,
    Rotate,
    /// With `sed -i` as the editor.
    Edit,
    UpdateKeys,
    GroupsAdd,
    GroupsDelete,
}

/// Where the file stands, and what is around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Around {
    /// Alone in its folder.
    Nothing,
    /// Behind a link, in another folder.
    Link,
    /// Under a second name.
    HardLink,
    /// In a folder that may not be written.
    ReadOnly,
    /// Beside what a killed run left.
    LeftOver,
    /// Five files of all kinds in three folders, of which the uppermost is named.
    Tree,
}

/// One command in one place.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub command: Command,
    pub kind: Kind,
    pub around: Around,
    /// How many values the file holds; a binary file holds a KiB for each.
    pub values: usize,
}

const COMMANDS: [Command; 10] = [
    Command::Seal,
    Command::Encrypt,
    Command::Decrypt,
    Command::Set,
    Command::Unset,
    Command::Rotate,
    Command::Edit,
    Command::UpdateKeys,
    Command::GroupsAdd,
    Command::GroupsDelete,
];
const KINDS: [Kind; 5] = [Kind::Yaml, Kind::Json, Kind::Dotenv, Kind::Ini, Kind::Binary];

/// How many values a big file has.
const BIG: usize = 500;

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for command in COMMANDS {
        let mut add = |kind, around, values| {
            // A binary file has one value, which cannot be removed.
            if kind != Kind::Binary || command != Command::Unset {
                cases.push(Case {
                    command,
                    kind,
                    around,
                    values,
                });
            }
        };
        for kind in KINDS {
            add(kind, Around::Nothing, 20);
        }
        for around in [Around::Link, Around::HardLink, Around::ReadOnly, Around::LeftOver] {
            add(Kind::Yaml, around, 20);
        }
        add(Kind::Yaml, Around::Nothing, BIG);
        add(Kind::Binary, Around::Nothing, BIG);
        let many = [
            Command::Seal,
            Command::Decrypt,
            Command::Rotate,
            Command::UpdateKeys,
        ];
        if many.contains(&command) {
            add(Kind::Yaml, Around::Tree, 20);
        }
    }
    cases
}

impl Case {
    /// Whether one run of it takes long.
    pub fn is_big(&self) -> bool {
        self.values >= BIG
    }

    /// Whether it meets code that no case before it meets: one of these is enough for every push.
    pub fn is_first(&self) -> bool {
        let new_block_only = matches!(
            self.command,
            Command::UpdateKeys | Command::GroupsAdd | Command::GroupsDelete
        );
        let other_kind = matches!(self.kind, Kind::Json | Kind::Ini | Kind::Binary);
        !new_block_only || (!other_kind && self.around != Around::HardLink)
    }

    /// The kinds of the files that the command is to change, in the order of their names.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.around == Around::Tree {
            KINDS[..4].iter().chain(&[Kind::Yaml]).copied().collect()
        } else {
            vec![self.kind]
        }
    }

    /// The command line, without the file; `VALUE` stands for a file with a value, `OTHER` for a recipient.
    pub fn arguments(&self) -> (&'static [&'static str], Vec<&'static str>) {
        match self.command {
            Command::Seal => (&["-q"], vec![]),
            Command::Encrypt => (&["encrypt", "-q", "-i"], vec![]),
            Command::Decrypt => (&["decrypt", "-q", "-i"], vec![]),
            Command::Set => (&["set", "-q"], vec![self.kind.paths().0, "--value-file", "VALUE"]),
            Command::Unset => (&["unset", "-q"], vec![self.kind.paths().1]),
            Command::Rotate => (&["rotate", "-q"], vec![]),
            Command::Edit => (&["edit", "-q"], vec![]),
            Command::UpdateKeys => (&["updatekeys", "-q", "--yes"], vec![]),
            Command::GroupsAdd => (&["groups", "-q", "add", "--file"], vec!["--age", "OTHER"]),
            Command::GroupsDelete => (&["groups", "-q", "delete", "--file"], vec!["1", THRESHOLD, "1"]),
        }
    }

    /// The command line of an editor that changes the file once, and then never again.
    pub fn editor(&self) -> &'static str {
        match self.kind {
            Kind::Binary => "sed -i -e '1s/^new//' -e '1s/^/new/'",
            _ => "sed -i 's/value 7 /changed 7 /'",
        }
    }
}

const THRESHOLD: &str = "--shamir-secret-sharing-threshold";

impl Command {
    /// Whether the file is sealed before.
    pub fn needs_sealed(self) -> bool {
        !matches!(self, Self::Seal | Self::Encrypt)
    }

    /// Whether it is sealed after.
    pub fn seals(self) -> bool {
        self != Self::Decrypt
    }

    /// Whether the plaintext is another one after.
    pub fn changes(self) -> bool {
        matches!(self, Self::Set | Self::Unset | Self::Edit)
    }

    /// Whether it can be done again, with another result.
    pub fn adds(self) -> bool {
        self == Self::GroupsAdd
    }

    /// The exit code of the command on a file on which it has been done already.
    pub fn again(self, kind: Kind) -> i32 {
        match self {
            Self::Encrypt => 203,
            // The plaintext of a binary file is not even JSON.
            Self::Decrypt if kind == Kind::Binary => 2,
            Self::Decrypt => 1,
            Self::Unset => 91,
            Self::Edit => 200,
            Self::GroupsDelete => 1,
            Self::Seal | Self::Set | Self::Rotate | Self::UpdateKeys | Self::GroupsAdd => 0,
        }
    }
}

impl Kind {
    pub fn ending(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "env",
            Self::Ini => "ini",
            Self::Binary => "bin",
        }
    }

    /// The value that `set` changes, and the one that `unset` removes.
    fn paths(self) -> (&'static str, &'static str) {
        match self {
            Self::Ini => ("[\"section\"][\"key7\"]", "[\"section\"][\"gone\"]"),
            Self::Binary => ("[\"data\"]", "[\"data\"]"),
            _ => ("[\"key7\"]", "[\"gone\"]"),
        }
    }

    /// A plaintext in which every value holds the marker.
    pub fn plain(self, values: usize, canary: &Canary) -> Vec<u8> {
        let marker = canary.text();
        let lines = |between: &str| -> String {
            (0..values)
                .map(|number| format!("key{number}{between}value {number} {marker}\n"))
                .collect()
        };
        match self {
            Self::Yaml => format!("# a comment\ngone: {marker}\n{}", lines(": ")).into_bytes(),
            Self::Json => {
                let pairs: String = (0..values)
                    .map(|number| format!(",\n  \"key{number}\": \"value {number} {marker}\""))
                    .collect();
                format!("{{\n  \"gone\": \"{marker}\"{pairs}\n}}\n").into_bytes()
            }
            Self::Dotenv => format!("# a comment\ngone={marker}\n{}", lines("=")).into_bytes(),
            Self::Ini => format!("[section]\ngone = {marker}\n{}", lines(" = ")).into_bytes(),
            Self::Binary => {
                let mut bytes = marker.as_bytes().to_vec();
                bytes.extend((0..values * 1024).map(|at| (at * at / 7) as u8));
                bytes
            }
        }
    }
}
