//! A file of credentials as AWS's own tools keep it: `~/.aws/credentials`, section `[default]`.

use std::fs;
use std::path::Path;

use object_store::aws::AmazonS3Builder;

use crate::error::{Failure, Kind, Result};

#[derive(Default)]
pub struct Credentials {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
}

/// Reads the section `[default]`, which a file without sections is taken to be.
pub fn read(path: &Path) -> Result<Credentials> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::io(format_args!("could not read credentials file \"{shown}\""), error))?;
    let mut credentials = Credentials::default();
    let mut is_default = true;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_default = section.trim_end_matches(']').trim() == "default";
        } else if let (true, Some((name, value))) = (is_default, line.split_once('=')) {
            let value = Some(value.trim().to_string());
            match name.trim() {
                "aws_access_key_id" => credentials.access_key_id = value,
                "aws_secret_access_key" => credentials.secret_access_key = value,
                "aws_session_token" => credentials.session_token = value,
                _ => {}
            }
        }
    }
    if credentials.access_key_id.is_none() || credentials.secret_access_key.is_none() {
        return Err(Failure::new(Kind::Denied, format!("credentials file \"{shown}\" holds no credentials"))
            .hint("It needs lines aws_access_key_id = … and aws_secret_access_key = … in a section [default]."));
    }
    Ok(credentials)
}

impl Credentials {
    pub fn apply(self, mut builder: AmazonS3Builder) -> AmazonS3Builder {
        if let Some(value) = self.access_key_id {
            builder = builder.with_access_key_id(value);
        }
        if let Some(value) = self.secret_access_key {
            builder = builder.with_secret_access_key(value);
        }
        if let Some(value) = self.session_token {
            builder = builder.with_token(value);
        }
        builder
    }
}
