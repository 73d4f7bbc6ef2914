//! The table of calls: routing, the door, and the document that follows from it.

use serde_json::Value;
use zeroize::Zeroizing;

use super::{operation::Parameter, *};
use crate::{
    access::{AppSettings, Settings},
    serve::problem::{LOCAL, METHOD},
};

fn find(method: &str, path: &str) -> Result<(&'static Operation, Parts), Fault> {
    operation::find(TABLE, &method.parse().unwrap(), path)
}

fn rows() -> impl Iterator<Item = &'static Operation> {
    TABLE.iter().flat_map(|rows| rows.iter())
}

#[test]
fn each_call_of_the_contract_has_its_row() {
    for (method, path, row) in [
        ("POST", "/v1/messages", "/v1/messages"),
        ("GET", "/v1/messages/a%2Fb", "/v1/messages/{id}"),
        ("GET", "/v1/inbox/Example/form%2F1", "/v1/inbox/{protocol}/{service}"),
        ("POST", "/v1/inbox/example/form%2F1/ack", "/v1/inbox/{protocol}/{service}/ack"),
        ("GET", "/v1/inbox/example/form/events", "/v1/inbox/{protocol}/{service}/events"),
        ("POST", "/v1/requests", "/v1/requests"),
        ("GET", "/v1/dead", "/v1/dead"),
        ("POST", "/v1/dead/1/retry", "/v1/dead/{id}/retry"),
        ("DELETE", "/v1/dead/1", "/v1/dead/{id}"),
        ("GET", "/v1/peers", "/v1/peers"),
        ("GET", "/v1/peers/b.test:8443", "/v1/peers/{host}"),
        ("DELETE", "/v1/peers/b.test", "/v1/peers/{host}"),
        ("POST", "/v1/peers/b.test/connect", "/v1/peers/{host}/connect"),
        ("POST", "/v1/peers/b.test/refresh", "/v1/peers/{host}/refresh"),
        ("POST", "/v1/backup", "/v1/backup"),
        ("GET", "/v1/openapi.json", "/v1/openapi.json"),
        ("GET", "/healthz", "/healthz"),
        ("HEAD", "/readyz", "/readyz"),
        ("GET", "/metrics", "/metrics"),
    ] {
        assert_eq!(find(method, path).unwrap().0.path, row, "{method} {path}");
    }
    let (_, parts) = find("GET", "/v1/inbox/Example/form%2F1").unwrap();
    assert_eq!(operation::service(&parts), ServiceKey::new("example", "form/1"));
    assert_eq!(operation::part(&find("GET", "/v1/messages/a%2Fb").unwrap().1, "id"), "a/b");
}

#[test]
fn another_path_is_a_404_and_another_method_a_405_that_names_the_right_one() {
    for path in
        ["/", "/v1", "/v1/", "/v1/messages/", "/v2/messages", "/v1/inbox/p", "/v1/peers/%ff", "//v1/dead"]
    {
        assert_eq!(find("GET", path).map(|_| ()).unwrap_err().status(), 404, "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/messages", "POST"),
        ("POST", "/v1/dead/1", "DELETE"),
        ("PUT", "/v1/peers/b.test", "GET, DELETE"),
        ("POST", "/healthz", "GET, HEAD"),
        ("HEAD", "/v1/peers", "GET"),
    ] {
        let answer = find(method, path).map(|_| ()).unwrap_err().answer(Door::Plain);
        assert_eq!(answer.status(), 405);
        assert_eq!(answer.headers()["allow"], allow);
    }
}

//= NODE-API-01
#[test]
fn without_a_valid_token_the_door_stays_shut() {
    let token = Zeroizing::new("app-token-app-token".to_owned());
    let app = AppSettings { name: "app".into(), token, services: Vec::new(), admin: false };
    let access = Access::new(Settings { apps: vec![app] });
    let try_with = |value: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert("authorization", value.parse().unwrap());
        }
        known(&access, &headers).map_err(|fault| Box::new(fault.answer(Door::Plain)))
    };
    for wrong in [None, Some("Bearer wrong"), Some("Basic app-token-app-token")] {
        let answer = try_with(wrong).unwrap_err();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    }
    assert_eq!(try_with(Some("bearer app-token-app-token")).unwrap().name, "app");
}

//= NODE-API-02
#[test]
fn an_app_reads_its_own_inboxes_and_only_admins_see_links() {
    let own = ServiceKey::new("p", "s");
    let app = Principal { name: "app".into(), admin: false, services: vec![own] };
    let check = |method: &str, path: &str| {
        let (operation, parts) = find(method, path).unwrap();
        operation.who.check(&app, &parts).map_err(|fault| fault.status().as_u16())
    };
    assert_eq!(check("GET", "/v1/inbox/p/s"), Ok(()));
    assert_eq!(check("GET", "/v1/inbox/p/t"), Err(403));
    assert_eq!(check("GET", "/v1/inbox/p/t/events"), Err(403));
    assert_eq!(check("GET", "/v1/peers"), Err(403));
}

/// A path of this row, with something in each part.
fn filled(path: &str) -> String {
    path.split('/')
        .map(|word| if word.starts_with('{') { "x.test" } else { word })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn no_row_hides_another_and_each_stands_in_the_document_with_all_that_it_gives() {
    let document = document::value(TABLE);
    let mut count = 0;
    for row in rows() {
        for method in row.methods() {
            count += 1;
            let found = find(method, &filled(row.path)).unwrap().0;
            assert!(std::ptr::eq(found, row), "{method} {}", row.path);
            let entry = &document["paths"][row.path][method.to_lowercase()];
            assert!(!entry["summary"].as_str().unwrap().is_empty(), "{method} {}", row.path);
            for name in row.parameters.iter().map(Parameter::name) {
                let all = entry["parameters"].as_array().unwrap();
                assert!(all.iter().any(|one| one["name"] == name), "{method} {}: {name}", row.path);
            }
            for kind in row.problems() {
                let response = &entry["responses"][kind.status.as_str()];
                let schema = &response["content"]["application/problem+json"]["schema"]["allOf"][1];
                let types = schema["properties"]["type"]["enum"].as_array().unwrap();
                assert!(types.contains(&kind.urn().into()), "{method} {}: {}", row.path, kind.code);
            }
            for reply in row.answers {
                assert!(entry["responses"][reply.status.as_str()].is_object(), "{method} {}", row.path);
            }
        }
    }
    let documented = document["paths"].as_object().unwrap().values();
    assert_eq!(documented.map(|path| path.as_object().unwrap().len()).sum::<usize>(), count);
}

#[test]
fn each_problem_is_one_of_some_call() {
    for kind in LOCAL.iter().filter(|kind| **kind != &METHOD) {
        assert!(rows().any(|row| row.problems().contains(kind)), "{} is given by no call", kind.code);
    }
    assert!(rows().all(|row| row.problems().iter().all(|kind| LOCAL.contains(kind))));
}

#[test]
fn each_reference_of_the_document_leads_somewhere_and_each_example_is_one() {
    fn walk(value: &Value, see: &mut impl FnMut(&str, &Value)) {
        match value {
            Value::Object(all) => all.iter().for_each(|(key, inner)| {
                see(key, inner);
                walk(inner, see);
            }),
            Value::Array(all) => all.iter().for_each(|inner| walk(inner, see)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document::value(TABLE);
    let mut names = std::collections::BTreeSet::new();
    walk(&document, &mut |key, value| match (key, value) {
        ("$ref", Value::String(to)) => {
            assert!(document.pointer(to.strip_prefix('#').unwrap()).is_some(), "{to}");
        }
        ("example", value) => assert!(!value.is_null()),
        ("operationId", name) => assert!(names.insert(name.to_string()), "{name} stands twice"),
        _ => {}
    });
    assert_eq!(document::text(TABLE), document::text(TABLE));
}
