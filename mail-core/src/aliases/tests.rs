use proptest::prelude::*;

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn domains() -> Vec<Domain> {
    ["example.org", "b\u{fc}cher.example"].map(|domain| Domain::parse(domain).unwrap()).to_vec()
}

fn file(text: &str) -> AliasFile {
    parse(text, &domains()).unwrap()
}

fn targets(file: &AliasFile, address: &str) -> Option<String> {
    let alias = file.find(&Address::parse(address).unwrap())?;
    Some(alias.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn reason(text: &str) -> (usize, String) {
    let AliasesError { line, reason } = parse(text, &domains()).unwrap_err();
    (line, reason.to_string())
}

#[test]
fn address_is_preferred_to_name_and_detail_to_none() {
    let file = file(
        "# all\r\n\r\nsales@Example.org: ag, gb,\n\tpartner@elsewhere.example # a partner\nSales: cd\n\
         sales+x: ef\n\"a,b\"@example.org: \"c#d\" #e\n@b\u{fc}cher.example: ag\n",
    );
    for (address, expected) in [
        ("sales@example.org", Some("ag gb partner@elsewhere.example")),
        ("SALES+y@EXAMPLE.ORG", Some("ag gb partner@elsewhere.example")),
        ("sales+x@example.org", Some("ag gb partner@elsewhere.example")),
        ("sales@b\u{fc}cher.example", Some("cd")),
        ("sales+x@xn--bcher-kva.example", Some("ef")),
        ("sales+y@xn--bcher-kva.example", Some("cd")),
        ("\"a,b\"@example.org", Some("c#d")),
        ("sale@example.org", None),
        ("+x@example.org", None),
        ("sales@[192.0.2.1]", None),
    ] {
        assert_eq!(targets(&file, address).as_deref(), expected, "{address}");
    }
    let catch_all = |domain| file.catch_all(&Domain::parse(domain).unwrap()).map(ToString::to_string);
    assert_eq!(catch_all("XN--bcher-kva.example").as_deref(), Some("@xn--bcher-kva.example: ag"));
    assert_eq!(catch_all("example.org"), None);
}

#[test]
fn errors_state_the_line_and_the_remedy() {
    for (text, line, part) in [
        ("# x\nsales ag\n", 2, "the colon is missing"),
        ("  ag\n", 1, "no alias precedes it"),
        ("a: ag\n\n gb\n", 3, "no alias precedes it"),
        ("a b: ag", 1, "`a b` is not a name, an address or `@domain`"),
        ("a@[192.0.2.1]: ag", 1, "is not a name, an address or `@domain`"),
        ("@: ag", 1, "`@` is not"),
        (": ag", 1, "`` is not"),
        ("a: ,", 1, "`a` has no target"),
        ("a: # b", 1, "`a` has no target"),
        ("a: b@", 1, "the target `b@` is not a name or an address"),
        ("a: |/bin/sh", 1, "is a program or a file"),
        ("a: \"|/bin/sh -c x\"", 1, "is a program or a file"),
        ("a: /var/mail/x", 1, "is a program or a file"),
        ("a: :include:/etc/list", 1, "is a program or a file"),
        ("a: ag\n# x\nA: gb\n", 3, "line 1 has the same alias"),
    ] {
        let (found, message) = reason(text);
        assert!(found == line && message.contains(part), "{text:?}: line {found}: {message}");
    }
}

#[test]
fn loops_and_long_chains_are_errors() {
    for (text, part) in [
        ("a: b\nb: a", "leads back to itself"),
        ("a: b\nb: c\nc: b", "leads back to itself"),
        ("a@example.org: b\nb: a", "leads back to itself"),
        ("a: b@example.org\nb: a@xn--bcher-kva.example", "leads back to itself"),
        ("@example.org: a\na: b+x\nb: a", "leads back to itself"),
    ] {
        let (_, message) = reason(text);
        assert!(message.contains(part), "{text:?}: {message}");
    }
    // An alias that names itself keeps a copy; a remote address is no alias.
    file("a: a, b\nb: b@elsewhere.example\nc: c@elsewhere.example");
    let chain = |length: usize| (0..length).map(|at| format!("a{at}: a{}\n", at + 1)).collect::<String>();
    file(&chain(ALIAS_DEPTH_MAX));
    assert!(reason(&chain(ALIAS_DEPTH_MAX + 1)).1.contains("needs more than 10 aliases"));
    let backwards =
        chain(ALIAS_DEPTH_MAX + 1).lines().rev().map(|line| format!("{line}\n")).collect::<String>();
    assert!(reason(&backwards).1.contains("needs more than 10 aliases"));
}

#[test]
fn many_aliases_of_many_aliases_are_checked_in_linear_time() {
    let level = |at: usize| {
        let next = (0..20).map(|index| format!("l{}x{index}", at + 1)).collect::<Vec<_>>().join(", ");
        (0..20).map(|index| format!("l{at}x{index}: {next}\n")).collect::<String>()
    };
    let all = (0..ALIAS_DEPTH_MAX).map(level).collect::<String>();
    assert_eq!(file(&all).aliases().count(), 200);
}

#[test]
fn rewrite_preserves_comments_and_other_aliases() {
    let target = |text| AliasTarget::parse(text).unwrap();
    let key = |text| AliasKey::parse(text).unwrap();
    let mut file = file("# mine\n\nSales:  ag,\n   gb # two\nx: y\n");
    file.add(&key("new@example.org"), vec![target("ag"), target("cd@elsewhere.example"), target("ag")]);
    file.add(&key("X"), vec![target("z"), target("y")]);
    assert_eq!(
        file.to_string(),
        "# mine\n\nSales:  ag,\n   gb # two\nx: y, z\nnew@example.org: ag, cd@elsewhere.example\n"
    );
    assert!(file.remove(&key("x"), &[target("y")]));
    assert!(!file.remove(&key("x"), &[target("y")]) && !file.remove(&key("gone"), &[]));
    assert!(file.remove(&key("SALES"), &[]));
    assert_eq!(file.to_string(), "# mine\n\nx: z\nnew@example.org: ag, cd@elsewhere.example\n");
    assert_eq!(targets(&file, "new@example.org").as_deref(), Some("ag cd@elsewhere.example"));
    assert!(file.remove(&key("x"), &[target("z")]) && file.get(&key("x")).is_none());
}

/// A name, or an address at this domain, that needs quotes or does not.
fn address(names: &'static str, domain: &'static str) -> impl Strategy<Value = String> {
    let quoted = names.prop_flat_map(|name| "[ ,:#@]{1,3}".prop_map(move |odd| format!("\"{name}{odd}\"")));
    (prop_oneof![3 => names.boxed(), 1 => quoted.boxed()], any::<bool>())
        .prop_map(move |(name, has_domain)| if has_domain { format!("{name}@{domain}") } else { name })
}

/// Lines of a file in which each alias occurs once and leads to accounts.
fn valid_lines() -> impl Strategy<Value = String> {
    let target = address("[v-z]{1,2}", "elsewhere.example");
    let targets = proptest::collection::vec((target, "(, |,|,\r?\n\t| ,  )"), 0..4);
    let alias = (
        address("[a-e]{1,2}", "example.org"),
        targets,
        address("[v-z]", "example.org"),
        "(( |\t)(#[^\r\n]{0,5})?)?",
    );
    let alias = alias.prop_map(|(key, targets, last, comment)| {
        let targets: String = targets.into_iter().map(|(target, separator)| target + &separator).collect();
        (Some(key.to_lowercase()), format!("{key}: {targets}{last}{comment}"))
    });
    let other = "(#[^\r\n]{0,9})?".prop_map(|line| (None, line));
    let line = prop_oneof![4 => alias.boxed(), 1 => other.boxed()];
    proptest::collection::vec((line, "\r?\n"), 0..6).prop_map(|lines| {
        let mut keys = std::collections::HashSet::new();
        let is_new = |((key, _), _): &((Option<String>, String), String)| {
            key.as_ref().is_none_or(|key| keys.insert(key.clone()))
        };
        lines.into_iter().filter(is_new).map(|((_, line), end)| line + &end).collect()
    })
}

proptest! {
    #[test]
    fn valid_file_is_preserved_by_a_rewrite(text in valid_lines()) {
        let file = parse(&text, &domains()).map_err(|error| TestCaseError::fail(format!("{error}: {text:?}")))?;
        let again = parse(&file.to_string(), &domains()).unwrap();
        prop_assert_eq!(file.aliases().collect::<Vec<_>>(), again.aliases().collect::<Vec<_>>());
        for alias in file.aliases() {
            let shown = parse(&alias.to_string(), &[]).unwrap();
            prop_assert_eq!(shown.aliases().collect::<Vec<_>>(), [alias]);
        }
    }

    #[test]
    fn parse_never_panics(text in "[ab@:,#\"\\\\|/. \t\r\n\u{e9}]{0,60}") {
        let _ = parse(&text, &domains());
    }
}
