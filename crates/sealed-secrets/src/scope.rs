//! How far a sealed value may move: the scope, and the label that binds the value to it.

/// What a sealed value is bound to. The scope is not written into the value: it decides the OAEP label, so a value that was
/// moved too far does not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To one namespace and one name.
    #[default]
    Strict,
    /// To one namespace.
    NamespaceWide,
    /// To the cluster that holds the key.
    ClusterWide,
}

/// The annotation of a namespace-wide SealedSecret.
pub const NAMESPACE_WIDE: &str = "sealedsecrets.bitnami.com/namespace-wide";
/// The annotation of a cluster-wide SealedSecret.
pub const CLUSTER_WIDE: &str = "sealedsecrets.bitnami.com/cluster-wide";

impl Scope {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Strict, Self::NamespaceWide, Self::ClusterWide];

    /// The scope that the annotations of an object ask for. Only the text `true` counts; of both the wider holds.
    pub fn of_annotations<'a>(annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut scope = Self::Strict;
        for (name, value) in annotations {
            match name {
                CLUSTER_WIDE if value == "true" => return Self::ClusterWide,
                NAMESPACE_WIDE if value == "true" => scope = Self::NamespaceWide,
                _ => {}
            }
        }
        scope
    }

    /// The scope's name on command lines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::NamespaceWide => "namespace-wide",
            Self::ClusterWide => "cluster-wide",
        }
    }

    /// The scope of that name.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }

    /// The annotation that says so; none for strict.
    pub fn annotation(self) -> Option<&'static str> {
        match self {
            Self::Strict => None,
            Self::NamespaceWide => Some(NAMESPACE_WIDE),
            Self::ClusterWide => Some(CLUSTER_WIDE),
        }
    }

    /// The OAEP label: `namespace/name`, `namespace`, or nothing.
    pub fn label(self, namespace: &str, name: &str) -> Vec<u8> {
        match self {
            Self::Strict => format!("{namespace}/{name}").into_bytes(),
            Self::NamespaceWide => namespace.as_bytes().to_vec(),
            Self::ClusterWide => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_text_counts_and_the_wider_scope_wins() {
        let of =
            |annotations: &[(&'static str, &'static str)]| Scope::of_annotations(annotations.iter().copied());
        assert_eq!(of(&[]), Scope::Strict);
        assert_eq!(
            of(&[(CLUSTER_WIDE, "True"), (NAMESPACE_WIDE, "1")]),
            Scope::Strict
        );
        assert_eq!(of(&[(NAMESPACE_WIDE, "true")]), Scope::NamespaceWide);
        assert_eq!(
            of(&[(NAMESPACE_WIDE, "true"), (CLUSTER_WIDE, "true")]),
            Scope::ClusterWide
        );
    }

    #[test]
    fn labels_are_as_the_controller_makes_them() {
        assert_eq!(Scope::Strict.label("ns", "n"), b"ns/n");
        assert_eq!(Scope::Strict.label("", "n"), b"/n");
        assert_eq!(Scope::NamespaceWide.label("ns", "n"), b"ns");
        assert_eq!(Scope::ClusterWide.label("ns", "n"), b"");
    }
}
