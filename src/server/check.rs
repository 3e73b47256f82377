//! Whether a server could run so: everything that it needs is there and lets it in. Makes and changes nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::Access;
use tokio::net::TcpSocket;

use super::certificates::{CertificateFiles, term};
use super::error::ServerError;
use super::http::cannot_listen;
use super::log::Log;
use super::parts::{Parts, PartsAt};
use super::project::Project;
use super::revocations::Standing;
use super::store::{Database, Store};
use super::{Config, Places, goes_on_with, is_locked, is_of, must_be_private, refuse_another};
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// From this version on a database says whose it is, and has a log.
const LOGGED: i64 = 3;

pub async fn check(config: &Config) -> Outcome {
    let project = Project::load(&config.manifest)?;
    certificates(&config.certificates, Timestamp::now())?;
    let Places { data, database, parts, parts_config } = &config.places;
    let log = Log::load(&config.log_key, &project.manifest, data)?;
    folder(data, &project)?;
    can_be_kept(&data.join("index"))?;
    if let PartsAt::Folder(folder) = parts {
        can_be_kept(folder)?;
    }
    let is_running = is_locked(data);
    if is_running {
        terminal::note(format!("{}: a server runs on this folder; stop it before another starts", data.display()));
    }
    addresses(config, is_running)?;
    // a file that is not there yet is made at the start
    if !matches!(database, Database::Sqlite(path) if !path.exists()) {
        holds(database, &project, &log).await?;
    }
    if let PartsAt::Bucket { .. } = parts {
        Parts::open(parts, parts_config.as_deref())?.ping(parts).await?;
    }
    let unsigned: Vec<&str> = project.unsigned().collect();
    if !unsigned.is_empty() {
        let (manifest, unsigned) = (config.manifest.display(), unsigned.join(", "));
        terminal::note(format!(
            "warning: {manifest}: not signed yet by {unsigned}; each is refused until it has, and the server is started anew"
        ));
    }
    let (signed, id) = (project.signed_by().len(), project.manifest.id());
    println!("manifest {id}, signed by {signed} parties; {database}; parts in {parts}; indexes in {}", data.display());
    Ok(())
}

/// A server starts with what has ended, so that something newer can be taken up; nobody would be served meanwhile.
fn certificates(files: &CertificateFiles, now: Timestamp) -> Outcome {
    if let Some(list) = files.load()?.revocations
        && list.standing(now) == Standing::Ended
    {
        let (path, ends) = (list.path.display(), list.ends);
        return Err(Failure::refused(format!(
            "{path}: the revocation list ended at {ends}: its authority's clients would be refused"
        ))
        .hint("have the authority write its list anew"));
    }
    let path = &files.identity.certificate;
    let term = term(path)?;
    let (path, begins, ends) = (path.display(), term.start, term.end);
    if ends <= now {
        return Err(Failure::refused(format!("{path}: the certificate ended at {ends}: every client would refuse it"))
            .hint("have the authority issue another one"));
    }
    if now < begins {
        return Err(Failure::refused(format!(
            "{path}: the certificate holds from {begins} on: clients would refuse it"
        ))
        .hint("look at this machine's clock"));
    }
    Ok(())
}

/// The folder is this user's alone and of this manifest; one that is not there can be made.
fn folder(data: &Path, project: &Project) -> Outcome {
    if data.exists() {
        must_be_private(data)?;
        is_of(data, project)?;
    }
    can_be_kept(data)
}

/// The folder can be read and written by this user, or made.
fn can_be_kept(folder: &Path) -> Outcome {
    let above = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let refused = |why: &str| Err(Failure::refused(format!("{}: nothing can be kept here: {why}", folder.display())));
    if !above.is_dir() {
        return refused(&format!("{} is no folder", above.display()));
    }
    let listed = if above == folder { Access::READ_OK } else { Access::empty() };
    if rustix::fs::access(above, listed | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return refused(&format!("{} cannot be written by this user", above.display()));
    }
    // what the kernel shows as files has no room for any
    match rustix::fs::statvfs(above) {
        Ok(system) if system.f_blocks > 0 => Ok(()),
        _ => refused(&format!("the file system of {} has no room for files", above.display())),
    }
}

/// Both addresses are this machine's and free. One that is in use while this folder's server runs is taken for that one's.
fn addresses(config: &Config, is_running: bool) -> Outcome {
    let (parties, operator) = (config.role.answers_parties().then_some(config.listen), config.operator_listen);
    if let Some(parties) = parties.filter(|parties| meet(parties, &operator)) {
        return Err(Failure::refused(format!("{parties} and {operator}: both ports are one"))
            .hint("give `--operator-listen` another port"));
    }
    for address in parties.into_iter().chain([operator]) {
        match bound(address) {
            Ok(()) => {}
            Err(e) if is_running && e.kind() == std::io::ErrorKind::AddrInUse => {
                terminal::note(format!("{address} is in use, as it seems by the server that runs on this folder"));
            }
            Err(e) => return Err(cannot_listen(address, &e)),
        }
    }
    Ok(())
}

fn meet(one: &SocketAddr, other: &SocketAddr) -> bool {
    let [one_host, other_host] = [one, other].map(|address| address.ip().to_canonical());
    // `[::]` is every address of IPv4 as well
    let takes = |all: IpAddr, host: IpAddr| all.is_unspecified() && (all.is_ipv6() || host.is_ipv4());
    let same = one_host == other_host || takes(one_host, other_host) || takes(other_host, one_host);
    one.port() != 0 && one.port() == other.port() && same
}

/// As a listener does, but nobody can connect.
fn bound(address: SocketAddr) -> std::io::Result<()> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

/// What the database holds is whole, of this manifest, and not older than what this server has signed.
async fn holds(database: &Database, project: &Project, log: &Log) -> Outcome {
    let away = |why: ServerError| Failure::try_again(format!("{database}: {why}"));
    let store = Store::look(database).await?;
    if let Some(damage) = store.damage().await.map_err(away)? {
        return Err(Failure::refused(format!("{database}: the database is damaged: {damage}"))
            .hint("put a backup back into an empty folder: `hedui server restore`"));
    }
    if store.is_new().await.map_err(away)? {
        return Ok(());
    }
    goes_on_with(&store, database).await?;
    if store.version().await.map_err(away)? < LOGGED {
        return Ok(());
    }
    if let Some(known) = store.manifest().await.map_err(away)? {
        refuse_another(database, known, project)?;
    }
    log.holds_what_was_signed(&store).await
}
