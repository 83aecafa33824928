//! A bucket of an S3-compatible store. Everything is one request after another on this thread: memory stays at one
//! part, and every request has its time.

use std::future::Future;
use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, MultipartUpload, ObjectStoreExt, RetryConfig};
use tokio::runtime::Runtime;

use super::{Store, Upload};
use crate::error::{Failure, Kind, Result};
use crate::request::Options;
use crate::store::credentials;
use crate::store::refusal::refused;

/// S3 takes 10,000 parts of at least 5 MiB: this one allows files of 160 GB.
const PART: usize = 16 << 20;
/// Time for one request with its retries. A store that does not answer is reported after it.
const PATIENCE: Duration = Duration::from_secs(25);
/// Time for a part, which a slow line needs.
const PATIENCE_FOR_PART: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(5);

pub struct Bucket {
    client: Arc<Client>,
    prefix: String,
}

struct Client {
    store: AmazonS3,
    runtime: Runtime,
    /// `s3://bucket`, for messages.
    shown: String,
}

impl Bucket {
    pub fn open(location: &str, options: &Options) -> Result<Bucket> {
        let (bucket, prefix) = location.trim_start_matches("s3://").split_once('/').unwrap_or((&location[5..], ""));
        if bucket.is_empty() {
            return Err(Failure::bad_request(format!("the archive location \"{location}\" names no bucket"))
                .hint("Name it as s3://bucket/prefix."));
        }
        // Without one, every request over TLS would fail.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::io("could not start the client of the store", error))?;
        let retry = RetryConfig { max_retries: 4, retry_timeout: PATIENCE, ..RetryConfig::default() };
        let client = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(PATIENCE_FOR_PART);
        let mut builder = AmazonS3Builder::from_env().with_client_options(client).with_retry(retry);
        if let Some(path) = &options.credentials_file {
            builder = credentials::read(path)?.apply(builder);
        }
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &options.region {
            builder = builder.with_region(region);
        }
        if options.allow_http.unwrap_or_else(|| is_on("AWS_ALLOW_HTTP")) {
            builder = builder.with_allow_http(true);
        }
        let store = builder.with_bucket_name(bucket).build().map_err(|error| {
            Failure::bad_request(format!("the store of \"{location}\" cannot be addressed: {error}"))
        })?;
        let client = Client { store, runtime, shown: format!("s3://{bucket}") };
        Ok(Bucket { client: Arc::new(client), prefix: prefix.trim_matches('/').to_string() })
    }

    fn path(&self, name: &str) -> Path {
        if self.prefix.is_empty() { Path::from(name) } else { Path::from(format!("{}/{name}", self.prefix)) }
    }
}

fn is_on(variable: &str) -> bool {
    std::env::var(variable)
        .is_ok_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on"))
}

impl Client {
    /// Runs a request, for so long and no longer.
    fn wait<T>(
        &self,
        verb: &str,
        path: &Path,
        patience: Duration,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let outcome = self.runtime.block_on(async { tokio::time::timeout(patience, request).await });
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(refused(verb, &self.shown, path.as_ref(), &error)),
            Err(_) => Err(Failure::new(
                Kind::Unreachable,
                format!("could not {verb} {}/{path}: no answer within {} seconds", self.shown, patience.as_secs()),
            )
            .hint("Check the endpoint, the network and the store; it is tried again later.")),
        }
    }
}

impl Store for Bucket {
    fn describe(&self, name: &str) -> String {
        format!("\"{}/{}\"", self.client.shown, self.path(name))
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        let path = self.path(name);
        let upload = self.client.wait("create", &path, PATIENCE, self.client.store.put_multipart(&path))?;
        Ok(Box::new(Parts { client: self.client.clone(), path, upload, part: Vec::new(), is_over: false }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        let path = self.path(name);
        let found = self.client.wait("open", &path, PATIENCE, self.client.store.get(&path))?;
        let stream = found.into_stream();
        Ok(Box::new(BufReader::with_capacity(
            1 << 16,
            Download { client: self.client.clone(), path, stream, chunk: Bytes::new() },
        )))
    }

    fn size(&self, name: &str) -> Result<u64> {
        let path = self.path(name);
        Ok(self.client.wait("open", &path, PATIENCE, self.client.store.head(&path))?.size)
    }

    fn range(&self, name: &str, start: u64, length: usize) -> Result<Bytes> {
        let path = self.path(name);
        let range = start..start + length as u64;
        self.client.wait("read", &path, PATIENCE_FOR_PART, self.client.store.get_range(&path, range))
    }

    fn remove(&self, name: &str) -> Result<bool> {
        let path = self.path(name);
        // Deleting what is not there succeeds in S3, so its presence is asked for.
        let found = match self.client.wait("open", &path, PATIENCE, self.client.store.head(&path)) {
            Ok(_) => true,
            Err(failure) if failure.kind == Kind::NotFound => false,
            Err(failure) => return Err(failure),
        };
        if found {
            self.client.wait("remove", &path, PATIENCE, self.client.store.delete(&path))?;
        }
        Ok(found)
    }
}

/// A multipart upload: an object that appears when it is completed.
struct Parts {
    client: Arc<Client>,
    path: Path,
    upload: Box<dyn MultipartUpload>,
    part: Vec<u8>,
    is_over: bool,
}

impl Parts {
    fn send(&mut self) -> Result<()> {
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART));
        self.client.wait("write", &self.path, PATIENCE_FOR_PART, self.upload.put_part(part.into()))
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == PART {
            self.send()?;
        }
        Ok(taken)
    }

    /// A part is sent when it is full: flushing has nothing to do.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Parts {
    fn complete(mut self: Box<Self>) -> Result<()> {
        if !self.part.is_empty() {
            self.send()?;
        }
        let client = self.client.clone();
        client.wait("complete", &self.path.clone(), PATIENCE_FOR_PART, self.upload.complete())?;
        self.is_over = true;
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if !self.is_over {
            // Another failure is being reported; the bucket's own rule for abandoned uploads removes what stays.
            let client = self.client.clone();
            let _ = client.wait("abandon", &self.path.clone(), CONNECT, self.upload.abort());
        }
    }
}

struct Download {
    client: Arc<Client>,
    path: Path,
    stream: futures_util::stream::BoxStream<'static, object_store::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let stream = &mut self.stream;
            let next = async { stream.next().await.transpose() };
            match self.client.wait("read", &self.path, PATIENCE, next)? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let taken = buffer.len().min(self.chunk.len());
        buffer[..taken].copy_from_slice(&self.chunk.split_to(taken));
        Ok(taken)
    }
}
