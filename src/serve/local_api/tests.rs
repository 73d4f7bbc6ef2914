//! Routing and the door of the local API.

use zeroize::Zeroizing;

use super::*;
use crate::access::{AppSettings, Settings};

fn status(method: &str, path: &str) -> Result<Route, u16> {
    let method = method.parse().unwrap();
    route_for(&method, path).map_err(|fault| fault.status().as_u16())
}

#[test]
fn each_call_of_the_contract_has_its_route() {
    let service = ServiceKey::new("example", "form/1");
    for (method, path, route) in [
        ("POST", "/v1/messages", Route::Messages),
        ("GET", "/v1/messages/a%2Fb", Route::Message("a/b".into())),
        ("GET", "/v1/inbox/Example/form%2F1", Route::Inbox(service.clone())),
        ("POST", "/v1/inbox/example/form%2F1/ack", Route::Ack(service)),
        ("GET", "/v1/dead", Route::Dead),
        ("POST", "/v1/dead/1/retry", Route::DeadRetry("1".into())),
        ("DELETE", "/v1/dead/1", Route::DeadOne("1".into())),
        ("GET", "/v1/peers", Route::Peers),
        ("GET", "/v1/peers/b.test:8443", Route::Peer("b.test:8443".into())),
        ("DELETE", "/v1/peers/b.test", Route::Peer("b.test".into())),
        ("POST", "/v1/peers/b.test/connect", Route::PeerConnect("b.test".into())),
        ("POST", "/v1/peers/b.test/refresh", Route::PeerRefresh("b.test".into())),
    ] {
        assert_eq!(status(method, path), Ok(route), "{method} {path}");
    }
}

#[test]
fn another_path_is_a_404_and_another_method_a_405_that_names_the_right_one() {
    for path in
        ["/", "/v1", "/v1/", "/v1/messages/", "/v2/messages", "/v1/inbox/p", "/v1/peers/%ff", "//v1/dead"]
    {
        assert_eq!(status("GET", path), Err(404), "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/messages", "POST"),
        ("POST", "/v1/dead/1", "DELETE"),
        ("PUT", "/v1/peers/b.test", "GET, DELETE"),
    ] {
        let fault = route_for(&method.parse().unwrap(), path).unwrap_err();
        let answer = fault.answer(Door::Plain);
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
    let app = Principal { name: "app".into(), admin: false, services: vec![own.clone()] };
    let headers = HeaderMap::new();
    let share = Shares::new(1, 1).open(std::net::Ipv4Addr::LOCALHOST.into());
    let call = Call { app: &app, headers: &headers, query: None, body: &mut None, share };
    assert!(call.check_service(&own).is_ok());
    assert_eq!(call.check_service(&ServiceKey::new("p", "t")).unwrap_err().status(), 403);
    assert_eq!(call.check_admin().unwrap_err().status(), 403);
}
