//! Good files get their defaults, bad ones are told everything that is wrong with them.

use super::*;

struct Fixed;

impl Secrets for Fixed {
    fn variable(&self, name: &str) -> Result<String, String> {
        match name {
            "SECRET" => Ok("0123456789abcdef0123456789abcdef\n".to_owned()),
            "SHORT" => Ok("short".to_owned()),
            "EMPTY" => Ok(" \n".to_owned()),
            "DST" => Ok("dst_0123456789abcdef".to_owned()),
            "SNDR" => Ok("sndr_0123456789abcdef".to_owned()),
            _ => Err(format!("environment variable {name} is not set")),
        }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Err(format!("cannot read {}", path.display()))
    }
}

const GOOD: &str = r#"
    [[tenant]]
    name = "acme"
    webhook_secret = { env = "SECRET" }
    [[tenant.endpoint]]
    name = "slack"
    url = "https://example.com/x"
    token = { env = "DST" }
    metadata = { repo = "acme/*" }
    [[tenant.sender]]
    name = "github"
    token = { env = "SNDR" }
    plugin = "github-to-slack"
    config = { ignore_bots = true, n = 3 }
    expose_headers = ["X-GitHub-Delivery"]
"#;

fn problems(text: &str) -> Vec<String> {
    let problems = read(text, &Fixed).expect_err("the file is bad").0;
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_file_gets_its_defaults() {
    let setup = read(GOOD, &Fixed).expect("the file is good");
    let tenant = &setup.tenants[0];
    assert_eq!(tenant.fields.webhook_secret.expose(), "0123456789abcdef0123456789abcdef");
    assert_eq!((tenant.fields.attempts_max, tenant.fields.breaker_block_s), (10, 300));
    assert_eq!(tenant.endpoints[0].fields.concurrency_max, 5);
    assert_eq!(tenant.endpoints[0].environment, "production");
    assert_eq!(tenant.senders[0].fields.config.to_string(), r#"{"ignore_bots":true,"n":3}"#);
    assert_eq!(tenant.senders[0].fields.exposed_headers, ["X-GitHub-Delivery"]);
    assert_eq!(tenant.senders[0].fields.failure_policy, FailurePolicy::Hold);
}

#[test]
fn every_problem_is_told_with_its_place() {
    let found = problems(
        r#"
        [[tenant]]
        name = " Acme"
        webhook_secret = { env = "SHORT" }
        attempts_max = 0
        [[tenant.endpoint]]
        name = "a"
        url = "http://example.com"
        events = ["order.*.paid"]
        [[tenant.endpoint]]
        name = "a"
        url = "ftp://example.com"
        concurrency_max = 0
        [[tenant.sender]]
        name = "s"
        token = { env = "DST" }
        on_failure = "shrug"
        expose_headers = ["Authorization"]
        "#,
    );
    for part in [
        "tenant \" Acme\", name: must not begin",
        "webhook_secret",
        "attempts_max",
        "must be https; set insecure_http",
        "events \"order.*.paid\"",
        "not ftp",
        "concurrency_max",
        "\"production/a\": appears twice",
        "must begin with sndr_",
        "on_failure",
        "holds a credential",
    ] {
        assert!(
            found.iter().any(|problem| problem.contains(part)),
            "no problem says {part}: {found:#?}"
        );
    }
}

#[test]
fn an_unknown_key_and_a_missing_secret_are_refused() {
    assert!(problems("[[tenant]]\nname='a'\nwebhook_secret={env='SECRET'}\ncolour='red'")[0].contains("colour"));
    assert!(problems("[[tenant]]\nname='a'\nwebhook_secret={env='NOWHERE'}")[0].contains("NOWHERE is not set"));
    assert!(problems("[[tenant]]\nname='a'\nwebhook_secret={}")[0].contains("exactly one"));
    assert_eq!(
        problems("[[tenant]]\nname='a'\nwebhook_secret={env='EMPTY'}"),
        ["tenant \"a\", webhook_secret: is empty"]
    );
    let inline = &problems("[[tenant]]\nname='a'\nwebhook_secret='hush-hush'")[0];
    assert!(
        inline.starts_with("line 3: ") && inline.contains("env = ") && !inline.contains("hush"),
        "{inline}"
    );
    assert!(problems("")[0].contains("no [[tenant]]"));
    assert_eq!(problems("[[tenant").len(), 1);
}

#[test]
fn one_credential_names_one_thing() {
    let twice = format!("{GOOD}\n[[tenant.sender]]\nname='other'\ntoken={{env='SNDR'}}");
    assert!(problems(&twice)[0].contains("same credential"));
}

#[test]
fn a_configuration_is_what_json_can_say() {
    let with = |config: &str| GOOD.replace("{ ignore_bots = true, n = 3 }", config);
    for (config, part) in [
        ("{ since = 2026-01-01 }", "write them as strings"),
        ("{ nested = [{ at = 07:32:00 }] }", "write them as strings"),
        ("{ limit = inf }", "no inf and nan"),
        ("{ limit = nan }", "no inf and nan"),
    ] {
        let found = problems(&with(config));
        assert!(found.len() == 1 && found[0].contains(part), "{config}: {found:?}");
    }
}

#[test]
fn a_secret_file_that_never_ends_is_refused() {
    let secrets = SystemSecrets { base: Path::new("/") };
    assert!(
        secrets
            .file(Path::new("dev/zero"))
            .is_err_and(|problem| problem.contains("larger than"))
    );
}
