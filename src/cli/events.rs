//! Server-Sent Events, as much of them as the local API sends: `id`, `data`, comments.

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The last id that was seen, also with an earlier event.
    pub(super) id: String,
    /// Its lines, with a space for each break: between JSON tokens that changes nothing.
    pub(super) data: String,
}

/// Turns bytes as they come into events.
#[derive(Debug, Default)]
pub(super) struct Events {
    rest: Vec<u8>,
    id: String,
    data: Vec<String>,
}

impl Events {
    /// Takes bytes; gives back the events that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.trim_end_matches(['\n', '\r'])));
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then(|| Event { id: self.id.clone(), data: data.join(" ") });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.id),
            "data" => self.data.push(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_the_bytes_are_cut() {
        let text = b": hello\n\nid: 7\ndata: {\"a\":\ndata: 1}\n\nid:8\r\ndata:{}\r\n\r\nid: 9\n";
        let want = [
            Event { id: "7".into(), data: "{\"a\": 1}".into() },
            Event { id: "8".into(), data: "{}".into() },
        ];
        for size in 1..text.len() {
            let mut events = Events::default();
            let all: Vec<Event> = text.chunks(size).flat_map(|bytes| events.feed(bytes)).collect();
            assert_eq!(all, want, "cut every {size} bytes");
        }
    }
}
