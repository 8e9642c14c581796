//! Every limit is tried at its edge and one past it, every refusal by name; then random plans, whose survivors must be sound.

use super::*;
use proptest::prelude::*;

const CANDIDATES: usize = 4;

fn checked(decision: Decision) -> Result<Decision, Refused> {
    check(decision, CANDIDATES, &Limits::default())
}

fn refused(plan: Plan) -> Refused {
    checked(Decision::Deliver(plan)).expect_err("the plan breaks a rule")
}

fn route(endpoint: u32) -> Route {
    Route {
        endpoint,
        content: None,
        headers: vec![],
        delay: Duration::ZERO,
    }
}

fn route_with_headers(headers: &[(&str, &str)]) -> Route {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Route { headers, ..route(0) }
}

fn skip(endpoint: u32, reason: &str) -> Skip {
    Skip {
        endpoint,
        reason: reason.into(),
    }
}

fn content(body_bytes: usize) -> Content {
    Content {
        content_type: "application/json".into(),
        body: vec![b'1'; body_bytes],
    }
}

fn to(endpoints: &[u32]) -> Plan {
    Plan {
        routes: endpoints.iter().copied().map(route).collect(),
        ..Plan::default()
    }
}

fn drop_with(code: &str, message: &str) -> Decision {
    Decision::Drop(DropReason {
        code: code.into(),
        message: message.into(),
    })
}

#[test]
fn a_decision_within_its_bounds_is_accepted_unchanged() {
    let mut full = Plan {
        contents: vec![content(10), content(0)],
        routes: vec![
            Route {
                content: Some(1),
                delay: Limits::DELAY_MAX,
                ..route_with_headers(&[("x-a", "1"), ("x-a", "2")])
            },
            Route {
                content: Some(0),
                ..route(3)
            },
            route(1),
        ],
        skips: vec![skip(2, "other repository")],
        annotations: vec![("rule".into(), "größer als 7".into())],
    };
    full.routes[0].headers.push(("x-empty".into(), String::new()));
    for decision in [Decision::Pass, Decision::Deliver(full), drop_with("test-mode", "not a live event")] {
        assert_eq!(checked(decision.clone()), Ok(decision));
    }
}

#[test]
fn header_names_come_back_in_lower_case() {
    let plan = Plan {
        routes: vec![route_with_headers(&[("X-Repo", "Acme")])],
        ..Plan::default()
    };
    let Ok(Decision::Deliver(plan)) = checked(Decision::Deliver(plan)) else {
        panic!("refused")
    };
    assert_eq!(plan.routes[0].headers, [("x-repo".into(), "Acme".into())]);
}

#[test]
fn delivering_to_nobody_is_refused_and_says_what_to_do() {
    assert_eq!(refused(Plan::default()), Refused::NoRoutes);
    assert_eq!(
        refused(Plan {
            skips: vec![skip(0, "no")],
            ..Plan::default()
        }),
        Refused::NoRoutes
    );
    assert_eq!(
        Refused::NoRoutes.to_string(),
        "the plan has no routes: to deliver to nobody, use drop"
    );
}

#[test]
fn an_endpoint_that_was_not_offered_or_is_named_twice_is_refused() {
    for (endpoints, skips, expected) in [
        (
            &[0, 4][..],
            vec![],
            Refused::EndpointOutOfRange {
                part: Part::Route(1),
                endpoint: 4,
                candidates: 4,
            },
        ),
        (
            &[u32::MAX],
            vec![],
            Refused::EndpointOutOfRange {
                part: Part::Route(0),
                endpoint: u32::MAX,
                candidates: 4,
            },
        ),
        (
            &[0],
            vec![skip(9, "")],
            Refused::EndpointOutOfRange {
                part: Part::Skip(0),
                endpoint: 9,
                candidates: 4,
            },
        ),
        (
            &[2, 1, 2],
            vec![],
            Refused::EndpointTwice {
                part: Part::Route(2),
                endpoint: 2,
            },
        ),
        (
            &[0],
            vec![skip(1, ""), skip(1, "")],
            Refused::EndpointTwice {
                part: Part::Skip(1),
                endpoint: 1,
            },
        ),
        (
            &[0],
            vec![skip(0, "")],
            Refused::EndpointTwice {
                part: Part::Skip(0),
                endpoint: 0,
            },
        ),
    ] {
        assert_eq!(refused(Plan { skips, ..to(endpoints) }), expected);
    }
    let none = check(Decision::Deliver(to(&[0])), 0, &Limits::default());
    assert_eq!(
        none,
        Err(Refused::EndpointOutOfRange {
            part: Part::Route(0),
            endpoint: 0,
            candidates: 0
        })
    );
}

#[test]
fn contents_have_a_number_a_size_a_type_and_an_index() {
    let with = |contents| Plan { contents, ..to(&[0]) };
    let max = Limits::CONTENTS_MAX;
    assert_eq!(
        refused(with(vec![content(1); max + 1])),
        Refused::TooManyContents { count: max + 1, max }
    );

    let type_bytes = "application/json".len();
    let largest = Limits::CONTENTS_BYTES_MAX - type_bytes;
    let used = Plan {
        routes: vec![Route {
            content: Some(0),
            ..route(0)
        }],
        ..with(vec![content(largest)])
    };
    assert!(checked(Decision::Deliver(used)).is_ok());
    assert_eq!(refused(with(vec![content(largest)])), Refused::ContentUnused { content: 0 });
    let max_bytes = Limits::CONTENTS_BYTES_MAX;
    assert_eq!(
        refused(with(vec![content(largest + 1)])),
        Refused::ContentsTooLarge { content: 0, max_bytes }
    );
    assert_eq!(
        refused(with(vec![content(largest), content(0)])),
        Refused::ContentsTooLarge { content: 1, max_bytes }
    );

    let untyped = Content {
        content_type: "json\r\nx: y".into(),
        body: vec![],
    };
    assert_eq!(refused(with(vec![content(1), untyped])), Refused::ContentType { content: 1 });

    let routes = vec![
        route(0),
        Route {
            content: Some(1),
            ..route(1)
        },
    ];
    let plan = Plan {
        contents: vec![content(1)],
        routes,
        ..Plan::default()
    };
    assert_eq!(
        refused(plan),
        Refused::ContentOutOfRange {
            route: 1,
            content: 1,
            contents: 1
        }
    );
}

#[test]
fn headers_have_a_number_a_size_a_form_and_reserved_names() {
    let with = |headers: &[(&str, &str)]| {
        refused(Plan {
            routes: vec![route_with_headers(headers)],
            ..Plan::default()
        })
    };
    let max = Limits::HEADERS_MAX;
    assert_eq!(
        with(&vec![("x", "y"); max + 1]),
        Refused::TooManyHeaders {
            route: 0,
            count: max + 1,
            max
        }
    );
    let long = "v".repeat(Limits::HEADERS_BYTES_MAX);
    let too_large = Refused::HeadersTooLarge {
        route: 0,
        max_bytes: Limits::HEADERS_BYTES_MAX,
    };
    assert_eq!(with(&[("x", &long)]), too_large);
    let fits = Plan {
        routes: vec![route_with_headers(&[("x", &long[1..])])],
        ..Plan::default()
    };
    assert!(checked(Decision::Deliver(fits)).is_ok());

    for name in ["", "x y", "x:", "x\r\n", "größe", ":path", "x\0"] {
        assert_eq!(
            with(&[("x-ok", ""), (name, "v")]),
            Refused::HeaderName { route: 0, header: 1 },
            "{name:?}"
        );
    }
    for value in ["a\r\nb", "a\nb", "a\0b", " a", "a\t", "größe", "\x7f"] {
        assert_eq!(
            with(&[("X-V", value)]),
            Refused::HeaderValue {
                route: 0,
                name: "x-v".into()
            },
            "{value:?}"
        );
    }
    assert_eq!(
        with(&[("Host", "a")]),
        Refused::HeaderReserved {
            route: 0,
            name: "host".into()
        }
    );
}

#[test]
fn a_delay_is_at_most_seven_days() {
    let delay = Limits::DELAY_MAX + Duration::from_millis(1);
    let plan = Plan {
        routes: vec![route(1), Route { delay, ..route(0) }],
        ..Plan::default()
    };
    assert_eq!(
        refused(plan),
        Refused::DelayTooLong {
            route: 1,
            delay_secs: 604_800,
            max_secs: 604_800
        }
    );
}

#[test]
fn texts_are_short_and_can_be_stored() {
    let long = |max_bytes: usize| "é".repeat(max_bytes / 2) + "e";
    let too_long = |part, max_bytes| Refused::TextTooLong {
        part,
        bytes: max_bytes + 1,
        max_bytes,
    };

    let plan = Plan {
        skips: vec![skip(1, ""), skip(2, &long(512))],
        ..to(&[0])
    };
    assert_eq!(refused(plan), too_long(Part::Skip(1), 512));
    let plan = Plan {
        skips: vec![skip(1, "a\0b")],
        ..to(&[0])
    };
    assert_eq!(refused(plan), Refused::Nul { part: Part::Skip(0) });

    let annotated = |annotations| refused(Plan { annotations, ..to(&[0]) });
    assert_eq!(annotated(vec![("k".into(), "v".repeat(1024))]), too_long(Part::Annotation(0), 1024));
    assert_eq!(
        annotated(vec![("k\0".into(), "v".into())]),
        Refused::Nul { part: Part::Annotation(0) }
    );
    let max = Limits::ANNOTATIONS_MAX;
    let many = vec![("k".into(), "v".into()); max + 1];
    assert_eq!(annotated(many), Refused::TooManyAnnotations { count: max + 1, max });

    assert_eq!(checked(drop_with("a", &long(1024))), Err(too_long(Part::DropMessage, 1024)));
    assert_eq!(checked(drop_with("a", "\0")), Err(Refused::Nul { part: Part::DropMessage }));
}

#[test]
fn a_drop_code_is_a_short_label() {
    for code in ["a", "test-mode", "0", &"c".repeat(64)] {
        assert!(checked(drop_with(code, "")).is_ok(), "{code}");
    }
    for code in ["", "Test", "test mode", "test_mode", "größe"] {
        assert_eq!(checked(drop_with(code, "")), Err(Refused::DropCode), "{code:?}");
    }
    let too_long = Refused::TextTooLong {
        part: Part::DropCode,
        bytes: 65,
        max_bytes: 64,
    };
    assert_eq!(checked(drop_with(&"c".repeat(65), "")), Err(too_long));
}

#[test]
fn a_refusal_names_the_limit_and_the_index() {
    for (refused, says) in [
        (
            Refused::EndpointOutOfRange {
                part: Part::Skip(3),
                endpoint: 9,
                candidates: 4,
            },
            "skip 3 names endpoint 9, but there are 4 candidates",
        ),
        (
            Refused::TooManyHeaders {
                route: 2,
                count: 40,
                max: 32,
            },
            "route 2 has 40 headers, at most 32 are allowed",
        ),
        (
            Refused::TextTooLong {
                part: Part::Annotation(1),
                bytes: 2000,
                max_bytes: 1024,
            },
            "annotation 1 has 2000 bytes, at most 1024 are allowed",
        ),
        (
            Refused::HeaderReserved {
                route: 0,
                name: "host".into(),
            },
            "header host of route 0 is reserved",
        ),
    ] {
        assert_eq!(refused.to_string(), says);
    }
}

fn any_route() -> impl Strategy<Value = Route> {
    let header = ("[a-zA-Z \r:-]{0,6}", "[ -~\r\n]{0,6}");
    let headers = prop::collection::vec(header, 0..3);
    (0_u32..6, prop::option::of(0_u32..3), headers, 0_u64..800_000).prop_map(|(endpoint, content, headers, secs)| Route {
        endpoint,
        content,
        headers,
        delay: Duration::from_secs(secs),
    })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let content = (
        "(application/json|text/plain|[a-z/ ]{0,8})",
        prop::collection::vec(any::<u8>(), 0..8),
    )
        .prop_map(|(content_type, body)| Content { content_type, body });
    let skip = (0_u32..6, ".{0,20}").prop_map(|(endpoint, reason)| Skip { endpoint, reason });
    (
        prop::collection::vec(content, 0..3),
        prop::collection::vec(any_route(), 0..4),
        prop::collection::vec(skip, 0..3),
        prop::collection::vec((".{0,10}", ".{0,10}"), 0..3),
    )
        .prop_map(|(contents, routes, skips, annotations)| Plan {
            contents,
            routes,
            skips,
            annotations,
        })
}

proptest! {
    #[test]
    fn what_is_accepted_can_be_carried_out_and_is_accepted_again(plan in any_plan(), candidates in 0_usize..6) {
        let Ok(Decision::Deliver(plan)) = check(Decision::Deliver(plan), candidates, &Limits::default()) else {
            return Ok(());
        };
        let mut endpoints: Vec<_> = plan.routes.iter().map(|route| route.endpoint as usize).collect();
        endpoints.extend(plan.skips.iter().map(|skip| skip.endpoint as usize));
        let named = endpoints.len();
        endpoints.sort_unstable();
        endpoints.dedup();
        prop_assert_eq!(endpoints.len(), named);
        prop_assert!(endpoints.iter().all(|endpoint| *endpoint < candidates));
        prop_assert!(!plan.routes.is_empty());
        let named = |content: usize| plan.routes.iter().any(|route| route.content == u32::try_from(content).ok());
        prop_assert!((0..plan.contents.len()).all(named));
        for route in &plan.routes {
            prop_assert!(route.content.is_none_or(|content| (content as usize) < plan.contents.len()));
            prop_assert!(route.delay <= Limits::DELAY_MAX);
            for (name, value) in &route.headers {
                prop_assert!(!reserved_header(name));
                prop_assert!(!name.is_empty() && !name.contains([' ', ':', '\r']));
                prop_assert!(!value.contains(['\r', '\n']));
            }
        }
        let again = check(Decision::Deliver(plan.clone()), candidates, &Limits::default());
        prop_assert_eq!(again, Ok(Decision::Deliver(plan)));
    }
}
