//! The data plane: immutable parts, in the server's folder or in a bucket that several servers share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use hedui_protocol::ids::{BatchId, ContentHash, ManifestId};
use hedui_protocol::part::PartInfo;
use jiff::Timestamp;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt as _, RetryConfig,
    WriteMultipart,
};
use url::{Host, Url};

use super::error::{ServerError, ServerResult};
use super::shred::ShredKey;
use super::store::EPOCHS;
use crate::failure::{Exit, Failure, Outcome};
use crate::keyfile;
use crate::random;
use crate::staging::private_folder;

/// Larger parts go to a bucket in pieces of this size, each of which is tried again by itself.
const PIECE: usize = 8 << 20;
/// Pieces under way at once.
const PIECES: usize = 4;
/// A bucket that says nothing for so long is asked again.
const SILENCE: Duration = Duration::from_secs(20);
/// For so long it is asked again. Together with a last silence less than a request may take: the agency hears of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// For so long a server that starts waits for its bucket's answer.
const LOOK: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Reading a part may take this long whatever its length,
const READING: Duration = Duration::from_secs(60);
/// and as long as it takes at this pace, bytes a second: what drips would hold up an agency's index for days.
const PACE: u64 = 256 << 10;

/// Where parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartsAt {
    Folder(PathBuf),
    /// By the S3 protocol.
    Bucket {
        bucket: String,
        prefix: String,
    },
}

impl PartsAt {
    /// Where the parts of an epoch are that came after the one whose are here.
    pub fn of_epoch(&self, manifest: ManifestId) -> Self {
        match self {
            Self::Folder(folder) => {
                let name = folder.file_name().unwrap_or_default();
                Self::Folder(folder.with_file_name(EPOCHS).join(manifest.to_string()).join(name))
            }
            Self::Bucket { bucket, prefix } => {
                let prefix = format!("{prefix}/{EPOCHS}/{manifest}").trim_start_matches('/').to_owned();
                Self::Bucket { bucket: bucket.clone(), prefix }
            }
        }
    }
}

impl FromStr for PartsAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| url.scheme() == "s3" && url.query().is_none() && url.username().is_empty());
        let bucket = url.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
        let (Some(url), Some(bucket)) = (url, bucket) else {
            return Err(
                "not a bucket: `s3://BUCKET` or `s3://BUCKET/PREFIX`, and without one a folder of the server's".into(),
            );
        };
        Ok(Self::Bucket { bucket, prefix: url.path().trim_matches('/').to_owned() })
    }
}

impl fmt::Display for PartsAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Where a batch's parts lie, and under which key. A batch that is begun anew after it was erased has another shelf: whoever
/// is late to empty the former one takes nothing from it.
#[derive(Clone)]
pub struct Shelf {
    pub batch: BatchId,
    /// Stands in the parts' names, if it is not of before there were tags.
    pub tag: Option<String>,
    /// None: of before there were keys.
    pub key: Option<ShredKey>,
}

impl Shelf {
    pub fn fresh_tag() -> ServerResult<String> {
        let tag = random::bytes().map_err(|failure| ServerError::Failed(failure.message))?;
        Ok(format!("{:08x}", u32::from_be_bytes(tag)))
    }

    fn location(&self, number: u32) -> object_store::path::Path {
        let Self { batch, tag, .. } = self;
        match tag {
            // short: with the epoch and the batch before them, some places take no longer names
            Some(tag) => format!("{batch}/{number:05}-{tag}").into(),
            None => format!("{batch}/{number:05}.parquet").into(),
        }
    }
}

pub struct Parts {
    store: Box<dyn ObjectStore>,
    /// A part larger than a piece goes there in pieces.
    in_pieces: bool,
    /// Where they are files of this machine's.
    folder: Option<PathBuf>,
}

impl Parts {
    /// Opens a server's place for parts; a folder is made if need be.
    pub fn open(at: &PartsAt, config: Option<&Path>) -> Outcome<Self> {
        if let PartsAt::Folder(folder) = at {
            private_folder(folder)?;
        }
        Self::beside(at, config)
    }

    /// Opens the place as it is. `config` says how a bucket is reached and by whose credentials, as far as the environment does
    /// not.
    pub fn beside(at: &PartsAt, config: Option<&Path>) -> Outcome<Self> {
        let (store, folder): (Box<dyn ObjectStore>, _) = match at {
            PartsAt::Folder(folder) => {
                if !folder.is_dir() {
                    return Err(Failure::refused(format!("{at}: there is no folder of parts here")));
                }
                let store = LocalFileSystem::new_with_prefix(folder).map_err(Failure::refused)?;
                (Box::new(store.with_fsync(true).with_automatic_cleanup(true)), Some(folder.clone()))
            }
            PartsAt::Bucket { bucket, prefix } => {
                let store = client(at, config)?.with_bucket_name(bucket).build().map_err(|e| {
                    Failure::refused(format!("{at}: {}", ServerError::from(e))).hint(
                        "where this machine has no authorities of its own, `ca` in the file that `--parts-config` names is to name one",
                    )
                })?;
                (Box::new(PrefixStore::new(store, prefix.as_str())), None)
            }
        };
        Ok(Self { store, in_pieces: folder.is_none(), folder })
    }

    /// Whole or not at all, under its batch's key; storing the same part again changes nothing.
    pub async fn put(&self, shelf: &Shelf, number: u32, bytes: Bytes) -> ServerResult<()> {
        let location = shelf.location(number);
        let bytes = match &shelf.key {
            Some(key) => sealed(bytes, key.clone(), name(shelf.batch, number)).await?,
            None => bytes,
        };
        if self.in_pieces && bytes.len() > PIECE {
            in_pieces(self.store.put_multipart(&location).await?, &bytes).await?;
        } else {
            self.store.put(&location, bytes.into()).await?;
        }
        Ok(())
    }

    /// At the start: a bucket that lets nobody in is refused, one that is away may come.
    pub async fn look(&self, at: &PartsAt) -> Outcome {
        match tokio::time::timeout(LOOK, self.ping(at)).await {
            Ok(Err(why)) if why.exit == Exit::Refused => Err(why),
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => {
                tracing::warn!("The place of the parts does not answer as it should: {}", why.message);
                Ok(())
            }
            Err(_) => {
                let seconds = LOOK.as_secs();
                tracing::warn!(
                    "The place of the parts does not answer as it should: nothing was heard for {seconds} s"
                );
                Ok(())
            }
        }
    }

    /// Whether the place answers, and lets this program in; `at` is what it is called.
    pub async fn ping(&self, at: &PartsAt) -> Outcome {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        match self.store.head(&object_store::path::Path::from("is-it-there")).await {
            Ok(_) | Err(NotFound { .. }) => Ok(()),
            Err(PermissionDenied { .. } | Unauthenticated { .. }) => Err(Failure::refused(format!(
                "{at}: the bucket lets nobody in with this key"
            ))
            .hint("look at access_key_id and secret_access_key, and whether the key may read, write, list and delete")),
            Err(why) => Err(Failure::try_again(format!("{at}: {}", ServerError::from(why)))),
        }
    }

    /// All that is stored, parts and whatever else: names, and when each was written. What other epochs have is theirs.
    pub async fn list(&self) -> ServerResult<Vec<Object>> {
        let theirs = object_store::path::Path::from(EPOCHS);
        let own = self.store.list(None).try_filter(|meta| {
            let own = !meta.location.prefix_matches(&theirs);
            async move { own }
        });
        let objects = own.map_ok(|meta| {
            let seconds = meta.last_modified.timestamp();
            let part = part_at(meta.location.as_ref());
            let written_at = Timestamp::from_second(seconds).unwrap_or_default();
            Object { location: Location::Stored(meta.location), written_at, part }
        });
        let mut objects: Vec<Object> = objects.try_collect().await?;
        if let Some(folder) = &self.folder {
            objects.extend(unfinished(folder)?);
        }
        Ok(objects)
    }

    /// Removes a batch's parts, and whatever a killed process has left beside them; what is not there is gone already.
    pub async fn remove_batch(&self, shelf: &Shelf, parts: u32) -> ServerResult<()> {
        if let Some(folder) = &self.folder {
            return Ok(empty(folder, shelf)?);
        }
        for number in 0..parts {
            self.remove_part(shelf, number).await?;
        }
        Ok(())
    }

    pub async fn remove_part(&self, shelf: &Shelf, number: u32) -> ServerResult<()> {
        self.remove_at(&shelf.location(number)).await
    }

    pub async fn remove(&self, object: &Object) -> ServerResult<()> {
        match &object.location {
            Location::Stored(location) => self.remove_at(location).await,
            Location::Unfinished(path) => Ok(gone(tokio::fs::remove_file(path).await)?),
        }
    }

    async fn remove_at(&self, location: &object_store::path::Path) -> ServerResult<()> {
        match self.store.delete(location).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// A part as it came: what is not there, or has another hash, is an error that says which.
    pub async fn get(&self, shelf: &Shelf, part: &PartInfo) -> ServerResult<Bytes> {
        let longest = READING + Duration::from_secs(part.bytes / PACE);
        tokio::time::timeout(longest, self.read(shelf, part)).await.unwrap_or_else(|_| {
            let (batch, number, seconds) = (shelf.batch, part.number, longest.as_secs());
            Err(ServerError::Failed(format!("part {number} of batch {batch} was not here after {seconds} s")))
        })
    }

    async fn read(&self, shelf: &Shelf, part: &PartInfo) -> ServerResult<Bytes> {
        let batch = shelf.batch;
        let stored = self.store.get(&shelf.location(part.number)).await.map_err(|e| match e {
            object_store::Error::NotFound { .. } => {
                ServerError::Failed(format!("part {} of batch {batch} is missing", part.number))
            }
            other => other.into(),
        })?;
        let bytes = stored.bytes().await?;
        let (name, key, hash) = (name(batch, part.number), shelf.key.clone(), part.hash);
        let whole = tokio::task::spawn_blocking(move || {
            let bytes = match key {
                // one that was stored before there were keys, and is not sealed yet
                Some(_) if ContentHash::of(&bytes) == hash => bytes,
                Some(key) => Bytes::from(key.open(&name, bytes.into())?),
                None => bytes,
            };
            if ContentHash::of(&bytes) == hash {
                return Ok(bytes);
            }
            Err(ServerError::Failed(format!("{name} is damaged: its hash differs")))
        });
        whole.await.map_err(ServerError::failed)?
    }
}

/// Uploads all pieces. After a failure none of them stays: nobody sees them, and they would be paid for.
async fn in_pieces(upload: Box<dyn MultipartUpload>, bytes: &Bytes) -> object_store::Result<()> {
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE);
    for at in (0..bytes.len()).step_by(PIECE) {
        if let Err(why) = upload.wait_for_capacity(PIECES - 1).await {
            // the failure itself is what matters
            let _ = upload.abort().await;
            return Err(why);
        }
        upload.put(bytes.slice(at..bytes.len().min(at + PIECE)));
    }
    // where this fails, it gives up what was uploaded
    upload.finish().await.map(drop)
}

/// What a part is sealed by, and called in errors.
pub fn name(batch: BatchId, number: u32) -> String {
    format!("part {number} of batch {batch}")
}

async fn sealed(bytes: Bytes, key: ShredKey, name: String) -> ServerResult<Bytes> {
    let sealing = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::from(bytes);
        key.seal(&name, &mut bytes)?;
        Ok(Bytes::from(bytes))
    });
    sealing.await.map_err(ServerError::failed)?
}

/// Removes what lies on a shelf of the folder, finished or not.
fn empty(folder: &Path, shelf: &Shelf) -> std::io::Result<()> {
    let of_batch = folder.join(shelf.batch.to_string());
    let files = match std::fs::read_dir(&of_batch) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    for file in files {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let finished = name.split('#').next().unwrap_or_default();
        if part_at(&format!("{}/{finished}", shelf.batch)).is_some_and(|part| part.tag == shelf.tag) {
            gone(std::fs::remove_file(&path))?;
        }
    }
    match std::fs::remove_dir(&of_batch) {
        // of a batch that was begun anew
        Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => gone(removed),
    }
}

fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// What is being written, or a killed process was writing: files that their store does not list, `NAME#1`.
fn unfinished(folder: &Path) -> ServerResult<Vec<Object>> {
    let mut found = Vec::new();
    for of_batch in std::fs::read_dir(folder)? {
        let of_batch = of_batch?.path();
        if !of_batch.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(of_batch)? {
            let file = file?;
            if file.file_name().to_string_lossy().contains('#') {
                let written_at = Timestamp::try_from(file.metadata()?.modified()?).map_err(ServerError::failed)?;
                found.push(Object { location: Location::Unfinished(file.path()), written_at, part: None });
            }
        }
    }
    Ok(found)
}

enum Location {
    Stored(object_store::path::Path),
    Unfinished(PathBuf),
}

/// Something that is stored.
pub struct Object {
    location: Location,
    pub written_at: Timestamp,
    /// Which part it is by its name.
    pub part: Option<Named>,
}

/// A part by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    pub batch: BatchId,
    pub tag: Option<String>,
    pub number: u32,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::Stored(location) => location.fmt(f),
            Location::Unfinished(path) => path.display().fmt(f),
        }
    }
}

fn part_at(path: &str) -> Option<Named> {
    let (batch, name) = path.split_once('/')?;
    let (number, tag) = match name.split_once('-') {
        Some((number, tag)) => (number, Some(tag.to_owned())),
        None => (name.strip_suffix(".parquet")?, None),
    };
    let (batch, number) = (batch.parse().ok()?, number.parse().ok()?);
    let shelf = Shelf { batch, tag, key: None };
    (shelf.location(number).as_ref() == path).then_some(Named { batch, tag: shelf.tag, number })
}

/// The variables of the environment that stand in for what the file leaves out, and what each of them is called there.
const VARIABLES: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
    ("AWS_SESSION_TOKEN", "session_token"),
    ("AWS_REGION", "region"),
    ("AWS_ENDPOINT_URL", "endpoint"),
];

fn setting(name: &str) -> AmazonS3ConfigKey {
    name.parse().expect("names that object_store knows")
}

/// A client of a bucket: by the environment, and over that by a file. One without a pair of keys would ask the machine for them.
fn client(at: &PartsAt, config: Option<&Path>) -> Outcome<AmazonS3Builder> {
    // reqwest takes the process's provider; that there is one already is fine
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::new();
    for (variable, name) in VARIABLES {
        if let Ok(value) = std::env::var(variable) {
            builder = builder.with_config(setting(name), value);
        }
    }
    // a large part may take its time, a silence may not
    let options = ClientOptions::new().with_timeout_disabled().with_read_timeout(SILENCE);
    let mut options = options.with_connect_timeout(Duration::from_secs(5));
    // no host by a proxy, not even by one that the environment names
    options = options.with_proxy_url("http://localhost").with_proxy_excludes("*,0.0.0.0/0,::/0");
    let backoff = BackoffConfig { max_backoff: LONGEST_PAUSE, ..BackoffConfig::default() };
    builder = builder.with_retry(RetryConfig { backoff, retry_timeout: PATIENCE, ..RetryConfig::default() });
    if let Some(path) = config {
        let wrong = |why: &str| Failure::refused(format!("{}: {why}", path.display()));
        let bytes = keyfile::read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("not a text"))?;
        // toml's own message would show the line, and with it a secret
        let table: toml::Table = text.parse().map_err(|_| wrong("not TOML: lines of `name = \"value\"`"))?;
        for (name, value) in table {
            let value = value.as_str().ok_or_else(|| wrong(&format!("`{name}` is no text in quotes")))?;
            match name.as_str() {
                "ca" => {
                    let ca = Path::new(value);
                    let pem = std::fs::read(ca).map_err(|e| Failure::file("read", ca, &e))?;
                    let authority =
                        Certificate::from_pem(&pem).map_err(|e| Failure::refused(format!("{value}: {e}")))?;
                    options = options.with_root_certificate(authority);
                }
                "access_key_id"
                | "secret_access_key"
                | "session_token"
                | "region"
                | "endpoint"
                | "virtual_hosted_style_request" => builder = builder.with_config(setting(&name), value),
                _ => {
                    return Err(wrong(&format!("`{name}` is no setting of a bucket")).hint(
                        "access_key_id, secret_access_key, session_token, region, endpoint, virtual_hosted_style_request, ca",
                    ));
                }
            }
        }
    }
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.starts_with("http:")) {
        if !is_loopback(&endpoint) {
            return Err(Failure::refused("a bucket is spoken to by TLS alone: its endpoint begins with https://"));
        }
        options = options.with_allow_http(true);
    }
    let has = |name: &str| builder.get_config_value(&setting(name)).is_some();
    if !has("access_key_id") || !has("secret_access_key") {
        return Err(Failure::refused(format!("{at}: there is no key to the bucket")).hint(
            "access_key_id and secret_access_key stand in the file that `--parts-config` names, or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    }
    Ok(builder.with_client_options(options))
}

fn is_loopback(url: &str) -> bool {
    match Url::parse(url).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::BoxFuture;
    use object_store::{PutPayload, PutResult, UploadPart};

    use super::*;
    use crate::staging::write_private;

    #[test]
    fn a_bucket_is_named_by_its_url() {
        let at = |bucket: &str, prefix: &str| PartsAt::Bucket { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!("s3://parts".parse(), Ok(at("parts", "")));
        assert_eq!("s3://parts/city/2026/".parse(), Ok(at("parts", "city/2026")));
        for wrong in ["parts", "/var/parts", "s3://", "s3://key@parts", "s3://parts?secret=x", "https://parts"] {
            assert!(wrong.parse::<PartsAt>().is_err(), "{wrong}");
        }
    }

    /// An upload whose pieces cannot be stored; it counts how often it was given up.
    #[derive(Debug, Default)]
    struct Failing(Arc<AtomicU32>);

    impl MultipartUpload for Failing {
        fn put_part(&mut self, _data: PutPayload) -> UploadPart {
            Box::pin(async {
                Err(object_store::Error::NotImplemented { operation: "a test".into(), implementer: "it".into() })
            })
        }

        fn complete<'s: 'f, 'f>(&'s mut self) -> BoxFuture<'f, object_store::Result<PutResult>> {
            panic!("a piece is missing");
        }

        fn abort<'s: 'f, 'f>(&'s mut self) -> BoxFuture<'f, object_store::Result<()>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test]
    async fn an_upload_that_fails_is_given_up() {
        // few pieces fail at the end, many before it
        for pieces in [2, PIECES + 2] {
            let given_up = Arc::new(AtomicU32::new(0));
            let upload = Box::new(Failing(Arc::clone(&given_up)));
            assert!(in_pieces(upload, &Bytes::from(vec![0; pieces * PIECE])).await.is_err());
            assert_eq!(given_up.load(Ordering::Relaxed), 1, "{pieces} pieces");
        }
    }

    #[test]
    fn settings_are_read_from_a_private_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bucket.toml");
        let said = |text: &str| {
            let _ = std::fs::remove_file(&path);
            write_private(&path, text.as_bytes()).unwrap();
            client(&"s3://parts".parse().unwrap(), Some(&path)).map(drop).unwrap_err().message
        };
        assert!(said("secret_access_key = hunter2").contains("not TOML"));
        assert!(said("secret = \"hunter2\"").contains("`secret` is no setting"));
        assert!(said("region = 7").contains("`region` is no text"));
        assert!(said("endpoint = \"http://10.0.0.7:9000\"").contains("TLS alone"));
        for text in ["secret_access_key = hunter2", "secret = \"hunter2\""] {
            assert!(!said(text).contains("hunter2"));
        }
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, "region = \"x\"").unwrap();
        assert!(
            client(&"s3://parts".parse().unwrap(), Some(&path)).unwrap_err().message.contains("readable by others")
        );
    }

    #[tokio::test]
    async fn what_a_killed_process_was_writing_is_found_and_goes_with_its_batch() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts::open(&PartsAt::Folder(folder.path().to_owned()), None).unwrap();
        let shelf = |batch: u8, tag: &str| Shelf { batch: BatchId([batch; 32]), tag: Some(tag.to_owned()), key: None };
        let torn = |shelf: &Shelf| folder.path().join(format!("{}#1", shelf.location(1)));
        let (former, anew, other) = (shelf(1, "former"), shelf(1, "anew"), shelf(2, "other"));
        for shelf in [&former, &anew, &other] {
            parts.put(shelf, 0, Bytes::from_static(b"x")).await.unwrap();
            std::fs::write(torn(shelf), "x").unwrap();
        }
        // whoever is late to remove what was erased takes nothing from what was sent again
        for _twice in 0..2 {
            parts.remove_batch(&former, 2).await.unwrap();
        }
        assert!(!torn(&former).exists() && torn(&anew).exists());
        let listed = parts.list().await.unwrap();
        let named = |shelf: &Shelf| Named { batch: shelf.batch, tag: shelf.tag.clone(), number: 0 };
        let mut names: Vec<Named> = listed.iter().filter_map(|object| object.part.clone()).collect();
        names.sort_by_key(|part| part.batch.0);
        assert_eq!((listed.len(), names), (4, vec![named(&anew), named(&other)]));
        parts.remove_batch(&anew, 2).await.unwrap();
        assert!(!folder.path().join(anew.batch.to_string()).exists());
        for object in parts.list().await.unwrap() {
            parts.remove(&object).await.unwrap();
        }
        assert!(parts.list().await.unwrap().is_empty() && !torn(&other).exists());
    }
}
