//! Users of this machine, as `/etc/passwd` lists them. Directories that the system may ask besides are not asked: that
//! may load parts of another C library into a program that has its own linked in.

/// The list.
const FILE: &str = "/etc/passwd";

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// Its number.
    pub(crate) uid: u32,
    /// The number of its first group.
    pub(crate) gid: u32,
}

impl User {
    /// The user of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        first(&list(), |user| user.name == name)
    }

    /// The first user with this number.
    pub(crate) fn numbered(uid: u32) -> Option<Self> {
        first(&list(), |user| user.uid == uid)
    }

    /// `name:password:uid:gid:...`; `None` for another line, such as one that refers to a directory.
    fn of_line(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let mut number = fields.skip(1).map_while(|field| field.parse().ok());
        let (uid, gid) = number.next().zip(number.next())?;
        Some(Self { name, uid, gid })
    }
}

/// Empty where there is none. What somebody wrote in another encoding, such as a full name, stands in nobody's way.
fn list() -> String {
    let list = std::fs::read(FILE).unwrap_or_default();
    String::from_utf8_lossy(&list).into_owned()
}

fn first(list: &str, wanted: impl Fn(&User) -> bool) -> Option<User> {
    list.lines().filter_map(User::of_line).find(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_number() {
        let root = User::named("root").expect("root");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(User::numbered(0).expect("root").uid, 0);
        assert_eq!(User::named("nobody-of-this-name"), None);
        assert_eq!(User::numbered(u32::MAX - 7), None);
    }

    #[test]
    fn the_first_line_that_reads_counts() {
        let list = "# none\n+::::::\n:x:7:7::/:/bin/sh\nshort:x:7\nodd:x:7:g::/:\n\
                    one:x:7:8:Full \u{fffd}:/home/one:/bin/sh\ntwo:x:7:9::/:\n";
        let one = User {
            name: "one".to_owned(),
            uid: 7,
            gid: 8,
        };
        assert_eq!(first(list, |user| user.uid == 7), Some(one));
        assert_eq!(
            first(list, |user| user.name == "two").map(|user| user.gid),
            Some(9)
        );
        for name in ["", "+", "# none", "short", "odd"] {
            assert_eq!(first(list, |user| user.name == name), None, "{name:?}");
        }
    }
}
