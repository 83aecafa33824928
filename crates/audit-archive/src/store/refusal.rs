//! What a store's refusal means. Its text can quote signatures and access keys, so only its error code is passed on.

use object_store::Error;

use crate::error::{Failure, Kind};

/// The failure of a request for an object.
pub fn refused(verb: &str, bucket: &str, path: &str, error: &Error) -> Failure {
    let text = error.to_string();
    let code = between(&text, "<Code>", "</Code>").or_else(|| between(&text, "<Error>", "</Error>"));
    let what = format!("could not {verb} {bucket}/{path}");
    let with_code = |reason: &str| match code {
        Some(code) => format!("{what}: {reason} ({code})"),
        None => format!("{what}: {reason}"),
    };
    match error {
        Error::NotFound { .. } if code == Some("NoSuchBucket") || text.contains("NoSuchBucket") => {
            Failure::new(Kind::NotFound, format!("bucket {bucket} does not exist"))
                .hint("Create the bucket, or name another one in audit.archive_location.")
        }
        Error::NotFound { .. } => Failure::new(Kind::NotFound, with_code("it does not exist")),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Failure::new(Kind::Denied, with_code("the store refuses these credentials"))
                .hint("Check the access key and what its policy allows: reading, writing and deleting objects.")
        }
        _ if is_configuration(&text) => Failure::new(Kind::Denied, with_code("no usable credentials were found"))
            .hint("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for PostgreSQL, or name a credentials file."),
        _ => Failure::new(Kind::Unreachable, with_code(&reason(error)))
            .hint("Check the endpoint, the network and the store; it is tried again later."),
    }
}

fn is_configuration(text: &str) -> bool {
    text.contains("169.254.169.254") || text.contains("credential")
}

/// The innermost cause, such as `Connection refused (os error 111)`; a page of an answer is cut.
fn reason(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    let line = text.lines().next().unwrap_or_default();
    match line.split_once(": <") {
        Some((before, _)) => before.to_string(),
        None => line.chars().take(200).collect(),
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    let (found, _) = rest.split_once(end)?;
    (found.len() < 64).then_some(found)
}
