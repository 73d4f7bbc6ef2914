//! `ymp inbox --follow` against a node that says what no real one would say in this order.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
    thread,
};

use crate::world::World;

/// One call: its request line, whether it names a last event, and where to answer.
fn next_call(listener: &TcpListener) -> (String, Option<String>, TcpStream) {
    let stream = listener.accept().unwrap().0;
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut last, mut length) = (String::new(), None, 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "last-event-id" => last = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    (first.trim().to_owned(), last, stream)
}

/// An event of this cursor; the connection stays open for more.
fn tell(stream: &mut TcpStream, cursor: u32) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let data = format!(
        r#"{{"cursor":"{cursor}","received-at":"2026-01-01T00:00:00Z","from":"b.test","message":{{"id":"m{cursor}"}}}}"#
    );
    write!(stream, "{head}id: {cursor}\ndata: {data}\n\n").unwrap();
}

fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
}

#[test]
fn a_restore_between_a_message_and_its_acknowledgement_does_not_end_the_command() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = format!("http://{}", listener.local_addr().unwrap());
    let node = thread::spawn(move || {
        let (mut calls, mut streams) = (Vec::new(), Vec::new());
        for (cursor, known) in [(7, true), (8, false), (1, true)] {
            // The first stream goes on; after the restore there is another.
            if cursor != 8 {
                let (call, last, mut stream) = next_call(&listener);
                calls.push((call, last));
                tell(&mut stream, cursor);
                streams.push(stream);
            } else if let Some(stream) = streams.last_mut() {
                let message = r#"{"cursor":"8","received-at":"2026-01-01T00:00:00Z","from":"b.test","message":{"id":"m8"}}"#;
                write!(stream, "id: 8\ndata: {message}\n\n").unwrap();
            }
            let (call, last, stream) = next_call(&listener);
            calls.push((call, last));
            if known {
                answer(stream, "204 No Content", "");
            } else {
                let problem = r#"{"type":"urn:ymp:problem:cursor","title":"no such cursor","status":400}"#;
                answer(stream, "400 Bad Request", problem);
            }
        }
        calls
    });
    let world = World::new();
    let mut command = world.command(&["inbox", "example/form", "--follow", "--ack", "--json"]);
    command.env("YMP_TOKEN", "0123456789abcdef").env("YMP_LOCAL", local);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines: Vec<_> = BufReader::new(child.stdout.take().unwrap()).lines().take(3).collect();
    let calls = node.join().unwrap();
    child.kill().unwrap();
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    child.wait().unwrap();
    for (line, id) in lines.into_iter().zip(["m7", "m8", "m1"]) {
        assert!(line.unwrap().contains(id));
    }
    let opened: Vec<_> = calls.iter().filter(|(call, _)| call.starts_with("GET")).collect();
    assert_eq!(opened.len(), 2, "{calls:?}");
    assert_eq!(opened[1].1.as_deref().unwrap_or_default(), "", "from the first that is not acknowledged");
    assert!(said.contains("on from the first message that is not acknowledged"), "{said}");
}
