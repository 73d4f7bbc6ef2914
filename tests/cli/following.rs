//! `ymp inbox --follow` against a node that says what no real one would say in this order.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
    thread,
    time::Duration,
};

use crate::world::World;

/// One call: its request line, whether it names a last event, and where to answer.
fn next_call(listener: &TcpListener) -> (String, Option<String>, TcpStream) {
    // A command that ended calls no more.
    let mut looks = (0..2000).map(|_| {
        thread::sleep(Duration::from_millis(10));
        listener.accept()
    });
    let stream = looks.find_map(Result::ok).unwrap().0;
    stream.set_nonblocking(false).unwrap();
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

/// The start of a stream of events, which stays open.
fn begin(stream: &mut TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
}

fn tell(stream: &mut TcpStream, cursor: u32) {
    let (at, id) = ("2026-01-01T00:00:00Z", format!("m{cursor}"));
    let data =
        format!(r#"{{"cursor":"{cursor}","received-at":"{at}","from":"b.test","message":{{"id":"{id}"}}}}"#);
    write!(stream, "id: {cursor}\ndata: {data}\n\n").unwrap();
}

fn answer(mut stream: TcpStream, status: &str, kind: &str) {
    let problem = if kind.is_empty() {
        String::new()
    } else {
        format!(r#"{{"type":"urn:ymp:problem:{kind}","title":"{kind}"}}"#)
    };
    let length = problem.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\nconnection: close");
    write!(stream, "{head}\r\ncontent-length: {length}\r\n\r\n{problem}").unwrap();
}

#[test]
fn neither_a_node_that_is_busy_nor_a_restore_before_an_acknowledgement_ends_the_command() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let local = format!("http://{}", listener.local_addr().unwrap());
    let node = thread::spawn(move || {
        let mut calls = Vec::new();
        let mut next = || {
            let (call, last, stream) = next_call(&listener);
            calls.push((call, last));
            stream
        };
        let mut first = next();
        begin(&mut first);
        tell(&mut first, 7);
        answer(next(), "503 Service Unavailable", "unavailable");
        answer(next(), "204 No Content", "");
        tell(&mut first, 8);
        answer(next(), "400 Bad Request", "cursor");
        answer(next(), "503 Service Unavailable", "unavailable");
        let mut second = next();
        begin(&mut second);
        tell(&mut second, 1);
        answer(next(), "204 No Content", "");
        (calls, first, second)
    });
    let world = World::new();
    let mut command = world.command(&["inbox", "example/form", "--follow", "--ack", "--json"]);
    command.env("YMP_TOKEN", "0123456789abcdef").env("YMP_LOCAL", local);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let told = node.join();
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    let (calls, ..) = told.unwrap_or_else(|_| panic!("{lines}{said}"));
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().zip(["m7", "m8", "m1"]).all(|(line, id)| line.contains(id)), "{lines:?}");
    let opened: Vec<_> = calls.iter().filter(|(call, _)| call.starts_with("GET")).collect();
    assert_eq!(opened.len(), 3, "{calls:?}");
    assert_eq!(opened[2].1.as_deref().unwrap_or_default(), "", "from the first that is not acknowledged");
    assert!(said.contains("on from the first that is not acknowledged"), "{said}");
}
