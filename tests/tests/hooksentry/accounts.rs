//! Log-ins, their tokens, and what ends them (docs/contracts/hooksentry.md, sections 3 and 4).

use std::time::Duration;

use hookyard_tests::{
    database::Kind,
    host::TestHost,
    on_both_databases, server,
    setup::{SetupFile, Tenant},
};
use http::Method;
use serde_json::json;

use crate::{PASSWORD, Yard, claims, text};

on_both_databases!(
    a_tenant_comes_with_its_owner,
    nobody_learns_whether_a_user_exists,
    ten_failures_end_log_ins_for_a_while,
    a_refresh_token_is_good_once_and_its_second_use_ends_the_session,
    logging_out_ends_both_tokens_at_once,
    an_access_token_runs_out_after_a_quarter_of_an_hour,
    a_new_password_and_a_deactivation_log_out_everywhere,
    the_last_owner_stays_one,
    an_invite_makes_one_user,
    the_operator_lets_people_into_a_tenant_of_the_set_up_file,
);

async fn a_tenant_comes_with_its_owner(kind: Kind) {
    let yard = Yard::on(kind).await;
    let body = json!({ "name": "Acme Inc.", "ownerEmail": " Ana@Acme.Example ", "ownerPassword": PASSWORD });
    let made = yard.call(Method::POST, "/api/v1/tenants", None, Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let tenant = made.json();
    assert_eq!(made.header("location"), format!("/api/v1/tenants/{}", text(&tenant["tenantId"])));
    assert_eq!(
        (
            text(&tenant["ownerEmail"]),
            text(&tenant["ownerRole"]),
            &tenant["maxTrys"],
            &tenant["circuitBreakerTimer"]
        ),
        ("ana@acme.example", "Owner", &json!(10), &json!(300))
    );
    assert_eq!(text(&tenant["webhookSecret"]).len(), 64);
    let account = yard.log_in("ana@acme.example").await;
    let claims = claims(&account.access);
    assert_eq!((text(&claims["role"]), text(&claims["email"])), ("Owner", "ana@acme.example"));
    let again = yard.call(Method::POST, "/api/v1/tenants", None, Some(&body)).await;
    assert_eq!(again.status, 409);
    let email_taken = json!({ "name": "Other", "ownerEmail": "ANA@acme.example", "ownerPassword": PASSWORD });
    let answer = yard.call(Method::POST, "/api/v1/tenants", None, Some(&email_taken)).await;
    assert_eq!(answer.status, 409);
    assert!(
        yard.host.store().tenant_named("Other").await.expect("it answers").is_none(),
        "all or nothing"
    );
}

async fn nobody_learns_whether_a_user_exists(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let (wrong, unknown) = (
        yard.try_log_in(&owner.email, "wrong").await,
        yard.try_log_in("nobody@acme.example", PASSWORD).await,
    );
    assert_eq!((wrong.status, wrong.body), (unknown.status, unknown.body));
    assert_eq!(wrong.status, 401);
}

async fn ten_failures_end_log_ins_for_a_while(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    for _ in 0..10 {
        assert_eq!(yard.try_log_in(&owner.email, "wrong").await.status, 401);
    }
    let refused = yard.try_log_in(&owner.email, PASSWORD).await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").parse().expect("it says how long");
    assert!((200..=300).contains(&wait), "{wait}");
    yard.host.advance(Duration::from_secs(wait));
    assert_eq!(yard.try_log_in(&owner.email, PASSWORD).await.status, 200);
}

async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_session(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let refresh = async |token: &str| {
        let body = json!({ "refreshToken": token });
        yard.call(Method::POST, "/api/v1/auth/refresh", None, Some(&body)).await
    };
    let next = refresh(&owner.refresh).await;
    assert_eq!(next.status, 200);
    let next = next.json();
    assert_eq!(next["expiresIn"], json!(900));
    let me = format!("/api/v1/users/{}", owner.user);
    let access = text(&next["accessToken"]);
    assert_eq!(yard.call(Method::GET, &me, Some(access), None).await.status, 200);
    assert_eq!(refresh(&owner.refresh).await.status, 401, "used before");
    assert_eq!(
        yard.call(Method::GET, &me, Some(access), None).await.status,
        200,
        "two pages refreshed at once"
    );
    // Made up from the session's id, which every access token names.
    let mut forged = owner.refresh[..24].to_owned();
    forged.push_str(&"A".repeat(owner.refresh.len() - 24));
    assert_eq!(refresh(&forged).await.status, 401);
    assert_eq!(
        yard.call(Method::GET, &me, Some(access), None).await.status,
        200,
        "a forged token ends nothing"
    );
    yard.host.advance(Duration::from_secs(11));
    assert_eq!(refresh(&owner.refresh).await.status, 401, "used long before");
    assert_eq!(
        yard.call(Method::GET, &me, Some(access), None).await.status,
        401,
        "somebody else may have it"
    );
    assert_eq!(refresh(text(&next["refreshToken"])).await.status, 401);
    for (body, status) in [
        (json!({}), 400),
        (json!({ "refreshToken": "x".repeat(513) }), 400),
        (json!({ "refreshToken": "unknown" }), 401),
    ] {
        let answer = yard.call(Method::POST, "/api/v1/auth/refresh", None, Some(&body)).await;
        assert_eq!(answer.status, status, "{body}");
    }
}

async fn logging_out_ends_both_tokens_at_once(kind: Kind) {
    let yard = Yard::on(kind).await;
    let (owner, again) = (yard.tenant("acme").await, yard.log_in("owner@acme.example").await);
    let other = yard.tenant("beta").await;
    let log_out = async |token: &str, refresh: &str| {
        let body = json!({ "refreshToken": refresh });
        yard.call(Method::POST, "/api/v1/auth/logout", Some(token), Some(&body))
            .await
            .status
    };
    assert_eq!(log_out(&owner.access, &other.refresh).await, 401, "another's");
    assert_eq!(log_out(&owner.access, "unknown").await, 401);
    assert_eq!(log_out(&owner.access, &owner.refresh).await, 204);
    assert_eq!(yard.get("/api/v1/users", &owner).await.status, 401);
    let body = json!({ "refreshToken": owner.refresh });
    assert_eq!(yard.call(Method::POST, "/api/v1/auth/refresh", None, Some(&body)).await.status, 401);
    assert_eq!(
        yard.get("/api/v1/users", &again).await.status,
        200,
        "another log-in of the same user stays"
    );
}

async fn an_access_token_runs_out_after_a_quarter_of_an_hour(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    yard.host.advance(Duration::from_secs(14 * 60));
    assert_eq!(yard.get("/api/v1/users", &owner).await.status, 200);
    yard.host.advance(Duration::from_secs(61));
    let refused = yard.get("/api/v1/users", &owner).await;
    assert_eq!((refused.status, refused.body.len()), (401, 0));
    for token in ["", "x", "a.b.c", &format!("{}x", owner.access)] {
        assert_eq!(
            yard.call(Method::GET, "/api/v1/users", Some(token), None).await.status,
            401,
            "{token}"
        );
    }
    assert_eq!(yard.call(Method::GET, "/api/v1/users", None, None).await.status, 401);
}

async fn a_new_password_and_a_deactivation_log_out_everywhere(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let (first, second) = (
        yard.colleague(&owner, "Developer").await,
        yard.log_in(&format!("developer@{}.example", owner.tenant)).await,
    );
    let path = format!("/api/v1/users/{}", first.user);
    let changed = yard.patch(&path, &first, &json!({ "password": "another one" })).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    for account in [&first, &second] {
        assert_eq!(yard.get("/api/v1/users", account).await.status, 401);
    }
    assert_eq!(yard.try_log_in(&first.email, PASSWORD).await.status, 401);
    assert_eq!(yard.try_log_in(&first.email, "another one").await.status, 200);
    assert_eq!(yard.patch(&path, &owner, &json!({ "status": "Inactive" })).await.status, 200);
    assert_eq!(yard.try_log_in(&first.email, "another one").await.status, 401);
}

async fn the_last_owner_stays_one(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let path = format!("/api/v1/users/{}", owner.user);
    for body in [json!({ "role": "Developer" }), json!({ "status": 1 })] {
        let refused = yard.patch(&path, &owner, &body).await;
        assert_eq!((refused.status, refused.json()), (409, json!({ "error": "last_owner" })), "{body}");
    }
    let refused = yard.delete(&path, &owner).await;
    assert_eq!((refused.status, refused.json()), (409, json!({ "error": "last_owner" })));
    let second = yard.colleague(&owner, "Owner").await;
    // Of two owners who delete each other at once one stays.
    let other = format!("/api/v1/users/{}", second.user);
    let (one, two) = tokio::join!(yard.delete(&other, &owner), yard.delete(&path, &second));
    let outcomes = [one.status, two.status];
    assert_eq!(outcomes.iter().filter(|status| **status == 204).count(), 1, "{outcomes:?}");
}

async fn an_invite_makes_one_user(kind: Kind) {
    let yard = Yard::on(kind).await;
    let owner = yard.tenant("acme").await;
    let invite = yard
        .post("/api/v1/invites", &owner, &json!({ "role": "Admin", "validityDays": 1 }))
        .await;
    assert_eq!(invite.status, 201, "{}", invite.text());
    let invite = invite.json();
    let path = format!("/api/v1/invites/{}/register", text(&invite["token"]));
    let register = async |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        yard.call(Method::POST, &path, None, Some(&body)).await
    };
    assert_eq!(register("not an address", PASSWORD).await.status, 400);
    assert_eq!(register(&owner.email, PASSWORD).await.status, 409, "taken");
    assert_eq!(register("new@acme.example", "").await.status, 400);
    let (one, two) = tokio::join!(register("new@acme.example", PASSWORD), register("other@acme.example", PASSWORD));
    let mut outcomes = [one.status, two.status];
    outcomes.sort_unstable();
    assert_eq!(outcomes, [201, 409], "{} {}", one.text(), two.text());
    let user = if one.status == 201 { one } else { two };
    assert_eq!(
        (text(&user.json()["role"]), text(&user.json()["tenantId"])),
        ("Admin", owner.tenant.as_str())
    );
    assert_eq!(user.header("location"), format!("/api/v1/users/{}", text(&user.json()["id"])));
    let listed = yard.get("/api/v1/invites?Status=1", &owner).await.json();
    assert_eq!((&listed["total"], &listed["items"][0]["status"]), (&json!(1), &json!("Used")));
    let late = yard.post("/api/v1/invites", &owner, &json!({ "validityDays": 1 })).await.json();
    yard.host.advance(Duration::from_hours(25));
    let body = json!({ "email": "late@acme.example", "password": PASSWORD });
    let path = format!("/api/v1/invites/{}/register", text(&late["token"]));
    assert_eq!(yard.call(Method::POST, &path, None, Some(&body)).await.status, 409, "expired");
}

async fn the_operator_lets_people_into_a_tenant_of_the_set_up_file(kind: Kind) {
    let host = TestHost::builder(kind)
        .setup(SetupFile::new().tenant(Tenant::named("acme")))
        .config(|config| config.registration = hookyard::config::Registration::Closed)
        .start()
        .await;
    let yard = Yard { host };
    let file = yard.host.database().folder().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("it is written");
    let file = file.to_string_lossy().into_owned();
    let run = async |args: &[&str]| {
        let output = server::run(yard.host.database(), &[&["users"], args].concat()).await;
        (
            output.status.code(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let create = [
        "create",
        "--tenant",
        "acme",
        "--email",
        "Ana@Acme.example",
        "--role",
        "owner",
        "--password-file",
        &file,
    ];
    let (code, told) = run(&create).await;
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = run(&create).await;
    assert_eq!(code, Some(2), "one address is one user: {told}");
    let owner = yard.log_in("ana@acme.example").await;
    assert_eq!(
        yard.get(&format!("/api/v1/tenants/{}", owner.tenant), &owner).await.json()["name"],
        "acme"
    );
    let (_, told) = run(&["list", "--tenant", "acme", "--format", "json"]).await;
    assert!(told.contains("ana@acme.example") && told.contains("owner"), "{told}");
    std::fs::write(&file, "another one").expect("it is written");
    let (code, told) = run(&[
        "password",
        "--tenant",
        "acme",
        "--email",
        "ana@acme.example",
        "--password-file",
        &file,
    ])
    .await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(yard.get("/api/v1/users", &owner).await.status, 401, "logged out");
    assert_eq!(yard.try_log_in("ana@acme.example", "another one").await.status, 200);
    let (code, told) = run(&["remove", "--tenant", "acme", "--email", "ana@acme.example"]).await;
    assert_eq!(code, Some(2), "the last owner: {told}");
    let (code, told) = run(&["list", "--tenant", "nobody"]).await;
    assert_eq!(code, Some(3), "{told}");
}
