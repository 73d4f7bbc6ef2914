//! The forms of what is not written or read by a derived type: messages, which are carried byte for byte, and inbox pages.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::wire::limits::{LOCAL_MESSAGES_MAX, NAME_BYTES_MAX};

/// `name: component, form`.
macro_rules! shape {
    ($(#[$doc:meta])* $name:ident, $component:literal, $form:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $component.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let form: fn(&mut SchemaGenerator) -> Schema = $form;
                form(generator)
            }
        }
    };
}

/// A string that a message is addressed by. The bound is in bytes of UTF-8.
fn name(what: &str) -> Schema {
    json_schema!({"type": "string", "maxLength": NAME_BYTES_MAX, "description": what})
}

fn host(what: &str) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX, "description": what})
}

shape!(
    /// A message as an app hands it over.
    Draft,
    "Draft",
    |_| json_schema!({
        "type": "object",
        "description": "A message as an app hands it over. It has an `action`, a `reply-to`, or both. Further properties are \
                        carried as they stand.",
        "required": ["sender", "host", "protocol", "service", "payload"],
        "anyOf": [{"required": ["action"]}, {"required": ["reply-to"]}],
        "properties": {
            "sender": {
                "type": "object",
                "description": "The service that sends it: one of the app's",
                "required": ["protocol", "service"],
                "properties": {
                    "host": host("This host; may be left out"),
                    "protocol": name("Its protocol; case does not matter"),
                    "service": name("Its name"),
                },
            },
            "id": {
                "type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX,
                "description": "Unique in this host; one is made where it is left out. The same id with the same content \
                                again is sent once",
            },
            "reply-to": name("The id of the message that this one answers"),
            "host": host("The host that it is for"),
            "protocol": name("The protocol of the service that it is for"),
            "service": name("The service that it is for"),
            "action": name("What a request asks for; an answer without one gets that of its request, where that is in the inbox, near what an app of the service acknowledged last or near the end"),
            "payload": {"type": "object", "description": "Carried byte for byte"},
        },
    })
);

shape!(
    /// One message, or many.
    Drafts,
    "Drafts",
    |generator| {
        let draft = generator.subschema_for::<Draft>();
        json_schema!({
            "description": "One message (it has `sender`), or many. A body may weigh 8 MiB.",
            "anyOf": [draft, {
                "type": "object",
                "required": ["messages"],
                "not": {"required": ["sender"]},
                "properties": {
                    "messages": {"type": "array", "maxItems": LOCAL_MESSAGES_MAX, "items": draft},
                },
            }],
        })
    }
);

shape!(
    /// A request: a message that is answered.
    Asked,
    "Request",
    |generator| {
        let draft = generator.subschema_for::<Draft>();
        json_schema!({
            "description": "A message with an `action`, that answers no other",
            "allOf": [draft, {"required": ["action"], "not": {"required": ["reply-to"]}}],
        })
    }
);

shape!(
    /// A message as it travels.
    Message,
    "Message",
    |_| json_schema!({
        "type": "object",
        "description": "A message as it travels; further properties are carried as they stand",
        "required": ["sender", "id", "host", "protocol", "service", "payload"],
        "properties": {
            "sender": {
                "type": "object",
                "required": ["host", "protocol", "service"],
                "properties": {
                    "host": {"type": "string"},
                    "protocol": {"type": "string"},
                    "service": {"type": "string"},
                },
            },
            "id": {"type": "string", "description": "Unique in the sender's host"},
            "reply-to": {"type": "string", "description": "The id of the message that this one answers"},
            "host": {"type": "string"},
            "protocol": {"type": "string"},
            "service": {"type": "string"},
            "action": {"type": "string"},
            "payload": {"type": "object"},
        },
    })
);

shape!(
    /// An entry of an inbox.
    Entry,
    "InboxEntry",
    |generator| {
        let message = generator.subschema_for::<Message>();
        json_schema!({
            "type": "object",
            "required": ["cursor", "received-at", "from", "message"],
            "additionalProperties": false,
            "properties": {
                "cursor": {"type": "string", "description": "What acknowledges this message and all before it"},
                "received-at": {"type": "string", "format": "date-time"},
                "from": {"type": "string", "description": "The host that sent it, as the connection proved it"},
                "message": message,
            },
        })
    }
);

shape!(
    /// A page of an inbox.
    Page,
    "InboxPage",
    |generator| {
        let entry = generator.subschema_for::<Entry>();
        json_schema!({
            "type": "object",
            "required": ["messages"],
            "additionalProperties": false,
            "properties": {"messages": {"type": "array", "items": entry}},
        })
    }
);

shape!(
    /// What is done.
    Ack,
    "Ack",
    |_| json_schema!({
        "type": "object",
        "required": ["cursor"],
        "additionalProperties": false,
        "properties": {"cursor": {"type": "string", "description": "As this inbox gave it"}},
    })
);
