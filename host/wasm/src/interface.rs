//! Names of imported and exported interfaces, and which of their versions go together.

/// A name such as `wasi:io/streams@0.2.6`, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InterfaceName<'a> {
    pub(super) interface: &'a str,
    pub(super) version: &'a str,
}

impl<'a> InterfaceName<'a> {
    pub(super) fn parse(name: &'a str) -> Self {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        Self { interface, version }
    }

    pub(super) fn package(self) -> &'a str {
        self.interface.split_once('/').map_or(self.interface, |(package, _)| package)
    }

    pub(super) fn namespace(self) -> &'a str {
        self.interface.split_once(':').map_or("", |(namespace, _)| namespace)
    }

    /// Versions of one line are compatible with each other (SemVer 2.0.0: below 1.0 the minor number breaks). A
    /// pre-release is a line of its own.
    pub(super) fn is_of_line(self, version: &str) -> bool {
        line(self.version).is_some_and(|own| line(version) == Some(own))
    }
}

fn line(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
    let (major, minor, _patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(if major == 0 { (0, minor) } else { (major, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_compared_as_semver_has_them() {
        let of_line = |name, version| InterfaceName::parse(name).is_of_line(version);
        assert!(of_line("a:b/c@0.1.7", "0.1.0"));
        assert!(!of_line("a:b/c@0.2.0", "0.1.0"));
        assert!(of_line("a:b/c@1.4.0", "1.0.9"));
        assert!(!of_line("a:b/c@0.2.0-rc-2023-11-10", "0.2.0"));
        assert!(!of_line("a:b/c", "0.1.0"));
    }
}
