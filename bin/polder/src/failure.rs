//! How errors are said.

use std::fmt::Display;
use std::process::ExitCode;

use crate::output;

/// An error with what to do about it, and the exit code where it is not 1.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    code: Option<u8>,
}

impl Failure {
    /// An error with a hint.
    pub(crate) fn new(message: impl Display, hint: impl Display) -> Failure {
        Failure {
            message: message.to_string(),
            hint: Some(hint.to_string()),
            code: None,
        }
    }

    /// The same with this exit code.
    pub(crate) fn exit(mut self, code: u8) -> Failure {
        self.code = Some(code);
        self
    }

    /// A wrong use of the command line: exit code 2.
    pub(crate) fn usage(message: impl Display, hint: impl Display) -> Failure {
        Failure::new(message, hint).exit(2)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Prints an error and yields the exit code: 1, or 2 where 1 means something else.
pub(crate) fn report(error: &anyhow::Error, one_is_taken: bool) -> ExitCode {
    output::complain(&format!("polder: error: {error:#}\n"));
    let failure = error.downcast_ref::<Failure>();
    if let Some(hint) = failure.and_then(|failure| failure.hint.as_ref()) {
        output::complain(&format!("hint: {hint}\n"));
    }
    let usual = if one_is_taken { 2 } else { 1 };
    ExitCode::from(failure.and_then(|failure| failure.code).unwrap_or(usual))
}
