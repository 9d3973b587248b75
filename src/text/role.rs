//! Who speaks in a conversation.

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Whoever runs the model.
    System,
    /// The client.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The role of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "system" => Some(Self::System),
            "user" => Some(Self::User),
            "assistant" => Some(Self::Assistant),
            _ => None,
        }
    }
}
