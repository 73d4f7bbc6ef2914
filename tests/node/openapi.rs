//! `node`, "Local API": the document that describes it all, as a client generator fetches it.

use super::{
    harness::{node::OTHER, *},
    pair,
};

//= NODE-API-04
#[tokio::test]
async fn the_document_is_there_without_a_token_and_names_each_call_that_is_answered() {
    let (_yard, node, _peer) = pair().await;
    let anyone = node.app_with(None);
    let got = anyone.get("/v1/openapi.json").await;
    assert_eq!((got.status, &got.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert!(got.headers.contains_key("etag") && got.headers.contains_key("cache-control"));
    let document = got.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in paths {
        let filled =
            path.replace("{host}", BETA).replace("{protocol}", "example").replace("{service}", "form");
        let filled = filled.replace("{id}", "none");
        for method in methods.as_object().unwrap().keys() {
            let answer = anyone.verb(&method.to_uppercase(), &filled).await;
            assert!(methods[method]["responses"][answer.status.to_string()].is_object(), "{method} {path}");
            let open = methods[method]["security"].as_array().unwrap().is_empty();
            assert_eq!(answer.status, if open { 200 } else { 401 }, "{method} {path}");
        }
        // A method that the document does not name is refused.
        assert_eq!(anyone.verb("PUT", &filled).await.status, 405, "{path}");
    }
    let admins = paths["/v1/peers"]["get"]["responses"].as_object().unwrap();
    assert!(admins.contains_key("403"));
    assert_eq!(node.app_with(Some(OTHER)).get("/v1/peers").await.status, 403);
    let head = anyone.verb("HEAD", "/v1/openapi.json").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}
