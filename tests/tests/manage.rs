//! The operations, as a dialect or a page calls them: what they do, what they refuse, and whose things they touch.

use std::{sync::Arc, time::Duration};

use hookyard::{
    clock::Clock,
    configuration::{Configuration, CredentialKind, EndpointStatus},
    manage::{
        AskPlugins, ConfigAnswer, ConfigQuestion, EndpointFields, EndpointFilter, Manage, NewCredential, NewEndpoint, NewEnvironment,
        NewSender, PlainHttp, Refusal, SenderFields, TenantFields, Text, ask_no_plugin, random_credential, random_signing_secret,
    },
    store::{SecretText, Store},
};
use hookyard_domain::{EndpointId, Scope, TenantId, Timestamp, profile};
use hookyard_tests::{
    database::{Kind, TestDatabase},
    on_both_databases,
};
use serde_json::json;

on_both_databases!(
    an_endpoint_lives_from_its_creation_to_its_deletion,
    every_problem_is_told_with_its_field,
    what_is_outside_the_scope_looks_absent,
    two_people_who_change_one_endpoint_at_once_both_get_their_way,
    a_rotated_secret_signs_beside_the_new_one,
    an_environment_is_deleted_when_nothing_is_left_in_it,
    a_sender_is_changed_only_as_its_plugin_allows,
    a_credential_opens_while_it_is_valid,
    what_one_node_changed_another_follows,
);

/// Operations on a fresh database with one tenant.
struct Yard {
    manage: Manage,
    configuration: Arc<Configuration>,
    store: Store,
    tenant: TenantId,
    clock: Clock,
    _database: TestDatabase,
}

impl Yard {
    async fn on(kind: Kind) -> Self {
        Self::asking(kind, ask_no_plugin()).await
    }

    async fn asking(kind: Kind, ask: AskPlugins) -> Self {
        let database = TestDatabase::fresh(kind).await;
        let clock = Clock::default();
        let store = database.open(clock.now()).await;
        let configuration = Arc::new(Configuration::default());
        let manage = Manage::new(store.clone(), Arc::clone(&configuration), clock.clone(), ask);
        let made = manage
            .create_tenant(Scope::Operator, tenant("acme"))
            .await
            .expect("a tenant is made");
        Self {
            tenant: made.id,
            manage,
            configuration,
            store,
            clock,
            _database: database,
        }
    }

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn tenant(name: &str) -> TenantFields {
    TenantFields::new(name, random_signing_secret())
}

fn named(name: &str) -> EndpointFields {
    EndpointFields {
        name: Some(name.to_owned()),
        ..EndpointFields::at("https://example.com/hook")
    }
}

fn fields_of(refusal: &Refusal) -> Vec<&str> {
    match refusal {
        Refusal::Invalid(problems) => problems.0.iter().map(|problem| problem.field.as_str()).collect(),
        other => panic!("it must be invalid: {other}"),
    }
}

async fn an_endpoint_lives_from_its_creation_to_its_deletion(kind: Kind) {
    let yard = Yard::on(kind).await;
    let token = random_credential(CredentialKind::EndpointToken);
    let fields = EndpointFields {
        metadata: json!({ "repo": "acme/*", "labels": ["a", "b"] })
            .as_object()
            .expect("an object")
            .clone(),
        events: vec!["order.*".to_owned(), "ping".to_owned()],
        ..EndpointFields::at("https://example.com/hook")
    };
    let new = NewEndpoint {
        token: Some(token.clone()),
        ..NewEndpoint::of(yard.tenant, fields)
    };
    let made = yard.manage.create_endpoint(yard.scope(), new).await.expect("made");
    assert_eq!(made.label(), made.id.to_string(), "it has no name");
    assert_eq!(made.metadata_json, r#"{"labels":["a","b"],"repo":"acme/*"}"#);
    assert!(made.wants("order.paid") && made.wants("ping") && !made.wants("pong"));

    // It is in force on this node at once.
    let snapshot = Arc::clone(&yard.configuration.current());
    let credential = snapshot.credential(token.expose(), yard.now()).expect("its token opens");
    assert_eq!(credential.endpoint(), Some(made.id));
    let reach = snapshot.subscribers(made.environment).expect("its environment has it");
    assert_eq!(reach.candidates("ping").endpoints.len(), 1);

    let kept = made
        .subscriptions
        .iter()
        .find(|subscription| subscription.pattern.to_string() == "ping");
    let kept = kept.expect("it was asked for").id;
    let changed = yard.manage.update_endpoint(yard.scope(), made.id, |fields| {
        fields.events = vec!["ping".to_owned(), "pong".to_owned()];
        fields.status = EndpointStatus::Inactive;
    });
    let changed = changed.await.expect("changed");
    assert!(changed.revision > made.revision && changed.status == EndpointStatus::Inactive);
    assert_eq!(changed.url, made.url, "what is not named stays");
    assert!(
        changed.subscriptions.iter().any(|subscription| subscription.id == kept),
        "a pattern that stays keeps its id"
    );

    let listed = |status| {
        let filter = EndpointFilter {
            status,
            ..EndpointFilter::default()
        };
        let (manage, scope) = (yard.manage.clone(), yard.scope());
        async move { manage.endpoints(scope, &filter).await.expect("listed").len() }
    };
    assert_eq!((listed(None).await, listed(Some(EndpointStatus::Active)).await), (1, 0));

    yard.manage.delete_endpoint(yard.scope(), made.id).await.expect("deleted");
    assert_eq!(listed(None).await, 0);
    let snapshot = Arc::clone(&yard.configuration.current());
    assert!(snapshot.credential(token.expose(), yard.now()).is_none(), "its token opens nothing");
    let again = yard.manage.delete_endpoint(yard.scope(), made.id).await;
    assert!(matches!(again, Err(Refusal::NotFound { what: "endpoint" })), "{again:?}");
}

async fn every_problem_is_told_with_its_field(kind: Kind) {
    let yard = Yard::on(kind).await;
    let bad = EndpointFields {
        name: Some("No Name".to_owned()),
        url: "http://example.com".to_owned(),
        events: vec!["ok".to_owned(), "a.*.b".to_owned()],
        concurrency_max: 0,
        attempts_max: Some(101),
        ..EndpointFields::at("")
    };
    let new = NewEndpoint {
        secret: Some(SecretText::new("short".to_owned())),
        token: Some(SecretText::new("sndr_0123456789abcdef".to_owned())),
        ..NewEndpoint::of(yard.tenant, bad)
    };
    let refusal = yard.manage.create_endpoint(yard.scope(), new).await.map(drop).expect_err("refused");
    let expected = [
        "name",
        "url",
        "events \"a.*.b\"",
        "concurrency_max",
        "attempts_max",
        "secret",
        "token",
    ];
    assert_eq!(fields_of(&refusal), expected);

    // What was allowed when it was made stays allowed when something else is changed.
    let plain = EndpointFields {
        plain_http: PlainHttp::Allowed,
        ..EndpointFields::at("http://example.com")
    };
    let made = yard
        .manage
        .create_endpoint(yard.scope(), NewEndpoint::of(yard.tenant, plain))
        .await
        .expect("made");
    let changed = yard
        .manage
        .update_endpoint(yard.scope(), made.id, |fields| fields.concurrency_max = 9)
        .await;
    assert_eq!(changed.expect("changed").concurrency_max, 9);

    // Whether a text is a pattern is a question of the endpoint's profile.
    let literal = EndpointFields {
        profile: &profile::nestarc::PROFILE,
        events: vec!["a.*.b".to_owned()],
        ..EndpointFields::at("https://example.com")
    };
    let made = yard
        .manage
        .create_endpoint(yard.scope(), NewEndpoint::of(yard.tenant, literal))
        .await
        .expect("made");
    assert!(made.wants("a.*.b") && !made.wants("a.x.b"));

    let twin = || NewEndpoint::of(yard.tenant, named("one"));
    yard.manage.create_endpoint(yard.scope(), twin()).await.expect("made");
    let refusal = yard
        .manage
        .create_endpoint(yard.scope(), twin())
        .await
        .map(drop)
        .expect_err("refused");
    assert!(matches!(&refusal, Refusal::Taken(text) if text.contains("\"one\"")), "{refusal:?}");
}

async fn what_is_outside_the_scope_looks_absent(kind: Kind) {
    let yard = Yard::on(kind).await;
    let manage = &yard.manage;
    let other = manage.create_tenant(Scope::Operator, tenant("beta")).await.expect("made");
    let theirs = Scope::Tenant(other.id);
    let made = manage
        .create_endpoint(yard.scope(), NewEndpoint::of(yard.tenant, named("one")))
        .await
        .expect("made");
    let id = made.id;
    let refusals = [
        manage.endpoint(theirs, id).await.map(drop),
        manage
            .update_endpoint(theirs, id, |fields| fields.concurrency_max = 1)
            .await
            .map(drop),
        manage.delete_endpoint(theirs, id).await,
        manage
            .rotate_endpoint_secret(theirs, id, random_signing_secret(), Duration::ZERO)
            .await
            .map(drop),
        manage.endpoint_secret(theirs, id).await.map(drop),
        manage
            .create_endpoint(theirs, NewEndpoint::of(yard.tenant, named("two")))
            .await
            .map(drop),
        manage.tenant(theirs, yard.tenant).await.map(drop),
        manage.create_tenant(theirs, tenant("gamma")).await.map(drop),
        manage
            .update_tenant(theirs, yard.tenant, |fields| fields.attempts_max = 1)
            .await
            .map(drop),
        manage.environments(theirs, yard.tenant).await.map(drop),
        manage
            .endpoint(yard.scope(), EndpointId::new_v7(yard.now(), rand::random()))
            .await
            .map(drop),
    ];
    for (number, refusal) in refusals.into_iter().enumerate() {
        assert!(matches!(refusal, Err(Refusal::NotFound { .. })), "{number}: {refusal:?}");
    }
    // Naming another tenant's environment does not help either.
    let environment = manage.environments(theirs, other.id).await.expect("listed")[0].id;
    let new = NewEndpoint {
        environment: Some(environment),
        ..NewEndpoint::of(yard.tenant, named("two"))
    };
    let refusal = manage.create_endpoint(yard.scope(), new).await.map(drop);
    assert!(matches!(refusal, Err(Refusal::NotFound { what: "environment" })), "{refusal:?}");
    assert!(
        manage
            .endpoints(theirs, &EndpointFilter::default())
            .await
            .expect("listed")
            .is_empty()
    );
    assert_eq!(
        manage.endpoint(yard.scope(), id).await.expect("it is as it was").revision,
        made.revision
    );
}

async fn two_people_who_change_one_endpoint_at_once_both_get_their_way(kind: Kind) {
    let yard = Yard::on(kind).await;
    let made = yard
        .manage
        .create_endpoint(yard.scope(), NewEndpoint::of(yard.tenant, named("one")))
        .await
        .expect("made");
    let (one, other) = tokio::join!(
        yard.manage
            .update_endpoint(yard.scope(), made.id, |fields| fields.concurrency_max = 9),
        yard.manage
            .update_endpoint(yard.scope(), made.id, |fields| fields.attempts_max = Some(3)),
    );
    one.expect("one lands");
    other.expect("and so does the other, on what the first made of it");
    let both = yard.manage.endpoint(yard.scope(), made.id).await.expect("it is there");
    assert_eq!((both.concurrency_max, both.attempts_max().get()), (9, 3));
}

async fn a_rotated_secret_signs_beside_the_new_one(kind: Kind) {
    let yard = Yard::on(kind).await;
    let manage = &yard.manage;
    let fields = EndpointFields {
        profile: &profile::nahook::PROFILE,
        ..named("one")
    };
    let (first, second) = (random_signing_secret(), random_signing_secret());
    let new = NewEndpoint {
        secret: Some(first.clone()),
        ..NewEndpoint::of(yard.tenant, fields)
    };
    let made = manage.create_endpoint(yard.scope(), new).await.expect("made");
    let signed = |endpoint: &hookyard::configuration::Endpoint, at: Timestamp| {
        let in_rotation = hookyard_domain::signature::InRotation::NewAndPrevious;
        endpoint.signing_keys().standard(in_rotation, "id", at, b"body")
    };
    let before = signed(&made, yard.now());
    let overlap = Duration::from_secs(3_600);
    let rotated = manage
        .rotate_endpoint_secret(yard.scope(), made.id, second.clone(), overlap)
        .await
        .expect("rotated");
    let (now, later) = (yard.now(), yard.now().plus(overlap).plus(Duration::from_secs(1)));
    assert_eq!(signed(&rotated, now).split(' ').count(), 2, "both sign");
    assert_eq!(signed(&rotated, later).split(' ').count(), 1, "until the first one's time is over");
    assert_eq!(before.split(' ').count(), 1);
    let shown = manage
        .endpoint_secret(yard.scope(), made.id)
        .await
        .expect("read")
        .expect("it has one of its own");
    assert_eq!(shown.expose(), second.expose());
    let refusal = manage
        .rotate_endpoint_secret(yard.scope(), made.id, SecretText::new("short".to_owned()), overlap)
        .await;
    assert_eq!(fields_of(&refusal.map(drop).expect_err("refused")), ["secret"]);
}

async fn an_environment_is_deleted_when_nothing_is_left_in_it(kind: Kind) {
    let yard = Yard::on(kind).await;
    let (manage, scope) = (&yard.manage, yard.scope());
    let new = NewEnvironment {
        tenant: yard.tenant,
        slug: "staging".to_owned(),
        name: None,
    };
    let staging = manage.create_environment(scope, new).await.expect("made");
    assert!(!staging.is_default);
    let new = NewEndpoint {
        environment: Some(staging.id),
        ..NewEndpoint::of(yard.tenant, named("one"))
    };
    let endpoint = manage.create_endpoint(scope, new).await.expect("made");
    assert_eq!(endpoint.environment, staging.id);
    let refusal = manage.delete_environment(scope, staging.id).await;
    assert!(
        matches!(&refusal, Err(Refusal::InUse(text)) if text.contains("1 endpoints")),
        "{refusal:?}"
    );
    manage.delete_endpoint(scope, endpoint.id).await.expect("deleted");
    let made_default = manage.make_default_environment(scope, staging.id).await.expect("changed");
    assert!(made_default.is_default);
    let listed = manage.environments(scope, yard.tenant).await.expect("listed");
    let slugs: Vec<_> = listed.iter().map(|environment| environment.slug.as_str()).collect();
    assert_eq!(slugs, ["staging", "production"], "the default comes first");
    let refusal = manage.delete_environment(scope, staging.id).await;
    assert!(matches!(refusal, Err(Refusal::InUse(_))), "the default stays");
    manage
        .delete_environment(scope, listed[1].id)
        .await
        .expect("the former default goes");
    let renamed = manage.rename_environment(scope, staging.id, "Übung").await.expect("renamed");
    assert_eq!((renamed.slug.as_str(), renamed.name.as_str()), ("staging", "Übung"));
}

/// Takes what says so and refuses the rest.
fn picky() -> AskPlugins {
    Arc::new(|questions: Vec<ConfigQuestion>| {
        let answer = |question: &ConfigQuestion| match question.config.contains("good") {
            true => ConfigAnswer::Accepted,
            false => ConfigAnswer::Refused("/mode: is not good".to_owned()),
        };
        let answers = questions.iter().map(answer).collect();
        Box::pin(async { Ok(answers) })
    })
}

async fn a_sender_is_changed_only_as_its_plugin_allows(kind: Kind) {
    let yard = Yard::asking(kind, picky()).await;
    let (manage, scope) = (&yard.manage, yard.scope());
    manage
        .create_endpoint(scope, NewEndpoint::of(yard.tenant, named("one")))
        .await
        .expect("made");
    let new = |mode: &str, endpoint: &str| NewSender {
        tenant: yard.tenant,
        environment: None,
        fields: SenderFields {
            name: Some("github".to_owned()),
            plugin: Some("router".to_owned()),
            config: json!({ "mode": mode }),
            endpoints: Some(vec![endpoint.to_owned()]),
            ..SenderFields::default()
        },
        token: random_credential(CredentialKind::SenderToken),
    };
    let refusal = manage.create_sender(scope, new("bad", "one")).await.map(drop).expect_err("refused");
    assert_eq!(fields_of(&refusal), ["config"]);
    let refusal = manage
        .create_sender(scope, new("good", "gone"))
        .await
        .map(drop)
        .expect_err("refused");
    assert_eq!(fields_of(&refusal), ["endpoints"]);
    let made = manage.create_sender(scope, new("good", "one")).await.expect("made");
    assert_eq!(made.reach.all().len(), 1);
    let refusal = manage
        .update_sender(scope, made.id, |fields| fields.config = json!({ "mode": "bad" }))
        .await;
    assert_eq!(fields_of(&refusal.map(drop).expect_err("refused")), ["config"]);
    let changed = manage
        .update_sender(scope, made.id, |fields| fields.endpoints = None)
        .await
        .expect("changed");
    assert!(changed.revision > made.revision);
    manage.delete_sender(scope, made.id).await.expect("deleted");
    assert!(manage.senders(scope).await.expect("listed").is_empty());
}

async fn a_credential_opens_while_it_is_valid(kind: Kind) {
    let yard = Yard::on(kind).await;
    let (manage, scope) = (&yard.manage, yard.scope());
    let text = random_credential(CredentialKind::ApiKey);
    let new = |name: &str, text: Text, expires_at| NewCredential {
        tenant: Some(yard.tenant),
        kind: CredentialKind::ApiKey,
        subject: None,
        environment: None,
        name: Some(name.to_owned()),
        label: None,
        rights: String::new(),
        text,
        expires_at,
    };
    let soon = yard.now().plus(Duration::from_secs(60));
    let made = manage
        .create_credential(scope, new("ci", Text::Sealed(text.clone()), Some(soon)))
        .await
        .expect("made");
    let opens = |at| {
        let snapshot = Arc::clone(&yard.configuration.current());
        snapshot.credential(text.expose(), at).is_some()
    };
    assert!(opens(yard.now()) && !opens(soon), "until it expires");
    manage.disable_credential(scope, made.id, true).await.expect("disabled");
    assert!(!opens(yard.now()));
    manage.disable_credential(scope, made.id, false).await.expect("enabled");
    assert!(opens(yard.now()));
    let shown = manage.show_credential(scope, made.id).await.expect("read").expect("a copy is kept");
    assert_eq!(shown.expose(), text.expose());
    let other = random_credential(CredentialKind::ApiKey);
    let hashed = manage
        .create_credential(scope, new("other", Text::Hashed(other), None))
        .await
        .expect("made");
    assert!(manage.show_credential(scope, hashed.id).await.expect("read").is_none());
    assert_eq!(manage.credentials(scope, CredentialKind::ApiKey).await.expect("listed").len(), 2);
    manage.revoke_credential(scope, made.id).await.expect("revoked");
    assert!(!opens(yard.now()));
    let again = manage
        .create_credential(scope, new("ci", Text::Hashed(text.clone()), None))
        .await
        .map(drop);
    assert!(
        matches!(again, Err(Refusal::Taken(_))),
        "what was revoked does not come back: {again:?}"
    );
    let operators = NewCredential {
        tenant: None,
        ..new("root", Text::Hashed(random_credential(CredentialKind::ApiKey)), None)
    };
    let refusal = manage.create_credential(scope, operators).await.map(drop);
    assert!(matches!(refusal, Err(Refusal::NotFound { .. })), "no tenant makes the operator's");
}

async fn what_one_node_changed_another_follows(kind: Kind) {
    let yard = Yard::on(kind).await;
    let elsewhere = Configuration::default();
    elsewhere.refresh(&yard.store).await.expect("read");
    let made = yard
        .manage
        .create_endpoint(yard.scope(), NewEndpoint::of(yard.tenant, named("one")))
        .await
        .expect("made");
    assert!(elsewhere.current().endpoints.is_empty());
    elsewhere.refresh(&yard.store).await.expect("read");
    assert_eq!(elsewhere.current().endpoints[&made.id].revision, made.revision);
    let other = Manage::new(yard.store.clone(), Arc::new(elsewhere), yard.clock.clone(), ask_no_plugin());
    let renamed = other
        .update_endpoint(yard.scope(), made.id, |fields| fields.name = None)
        .await
        .expect("changed");
    assert_eq!(renamed.name, None);
    let seen = yard.manage.endpoint(yard.scope(), made.id).await.expect("it is there");
    assert_eq!((seen.revision, seen.name.as_ref()), (renamed.revision, None));
}
