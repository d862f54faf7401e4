//! Requests as bytes, and the answers as rows.
//!
//! **Invariant:** each request is well formed; a test that wants an ill-formed one writes its bytes itself.

use super::client::Client;
use super::response::Response;
use super::server::TestServer;

/// A request without a body.
pub(crate) fn request(method: &str, target: &str) -> Vec<u8> {
    request_with(method, target, &[])
}

/// A request with further header lines.
pub(crate) fn request_with(method: &str, target: &str, headers: &[&str]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: plimsoll.test\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// GET on a connection of its own.
pub(crate) fn get(server: &TestServer, target: &str) -> Response {
    server.connect().get(target)
}

/// The ids and numbers of an array of world rows, which must hold exactly those two keys, in order.
pub(crate) fn worlds(response: &Response) -> Vec<(i32, i32)> {
    let rows = response.json();
    let rows = rows.as_array().unwrap_or_else(|| panic!("no array: {}", response.text()));
    let row = |row: &serde_json::Value| {
        let object = row.as_object().unwrap_or_else(|| panic!("no object: {row}"));
        assert_eq!(object.len(), 2, "keys beyond the contract: {row}");
        let number = |key: &str| {
            let number = object.get(key).and_then(serde_json::Value::as_i64);
            let number = number.unwrap_or_else(|| panic!("no integer under {key}: {row}"));
            assert!((1..=10_000).contains(&number), "{key} out of range: {row}");
            i32::try_from(number).expect("a number up to 10000")
        };
        (number("id"), number("randomNumber"))
    };
    rows.iter().map(row).collect()
}

/// As many connections as targets, all with their one request sent before the first answer is read.
pub(crate) fn answers_at_once(server: &TestServer, targets: &[String]) -> Vec<Response> {
    let send = |target: &String| {
        let mut client = Client::connect(server.address());
        client.send(request_with("GET", target, &["Connection: close"]));
        client
    };
    let clients: Vec<Client> = targets.iter().map(send).collect();
    let receive = |mut client: Client| {
        let response = client.receive();
        client.expect_close();
        response
    };
    clients.into_iter().map(receive).collect()
}
