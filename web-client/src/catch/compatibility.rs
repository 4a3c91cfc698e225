//! Mail programs that do not support a feature of a message's HTML, as the catcher's HTML check names them.

/// A feature with gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) feature: String,
    /// Occurrences in the message.
    pub(crate) found: usize,
    /// Names of programs.
    pub(crate) unsupported: String,
    pub(crate) partial: String,
}

/// The result of a program.
#[derive(Clone, Debug)]
pub(crate) struct ProgramSupport {
    pub(crate) family: String,
    /// Family and platform.
    pub(crate) name: String,
    /// `yes`, `no` or `partial`.
    pub(crate) support: String,
}

/// The programs with this support, in their order. A family is named once if all of its programs have it.
pub(crate) fn programs_with(support: &str, programs: &[ProgramSupport]) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut rest = programs;
    while let Some(first) = rest.first() {
        let size = rest.iter().take_while(|program| program.family == first.family).count();
        let (family, others) = rest.split_at(size);
        rest = others;
        let with: Vec<_> = family.iter().filter(|program| program.support == support).collect();
        if size > 1 && with.len() == size {
            names.push(common_words(family));
        } else {
            names.extend(with.into_iter().map(|program| program.name.clone()));
        }
    }
    names.join(", ")
}

/// The first words that the names have in common: the name of the family.
fn common_words(programs: &[ProgramSupport]) -> String {
    let mut common: Vec<&str> =
        programs.first().map(|program| program.name.split(' ').collect()).unwrap_or_default();
    for program in programs {
        let same =
            common.iter().zip(program.name.split(' ')).take_while(|(own, other)| *own == other).count();
        common.truncate(same);
    }
    common.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn families_without_support_are_named_once() {
        let program = |family: &str, name: &str, support: &str| ProgramSupport {
            family: family.to_owned(),
            name: name.to_owned(),
            support: support.to_owned(),
        };
        let programs = [
            program("apple", "Apple Mail macOS", "no"),
            program("apple", "Apple Mail iOS", "no"),
            program("gmail", "Gmail iOS", "no"),
            program("gmail", "Gmail Android", "partial"),
            program("hey", "HEY Webmail", "no"),
        ];
        assert_eq!(programs_with("no", &programs), "Apple Mail, Gmail iOS, HEY Webmail");
        assert_eq!(programs_with("partial", &programs), "Gmail Android");
        assert_eq!(programs_with("yes", &programs), "");
    }
}
