//! Looks a server's stores over, names what is wrong, and repairs what can be.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use hedui_protocol::ids::BatchId;
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::messages::BatchState;
use jiff::Timestamp;

use super::Places;
use super::certificates::term;
use super::error::ServerResult;
use super::gc;
use super::indexes::Indexes;
use super::parts::{Object, Parts};
use super::revocations::{Revocations, Standing};
use super::store::{HeldBatch, Store, newest};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::terminal;
use crate::transport::tls::Pem;

/// Seconds that clocks may differ: a lease has twenty.
const SKEW: i64 = 5;
/// Days before its end at which a certificate is told of.
const DAYS_LEFT: i64 = 30;

/// What was looked at, and what was found.
#[derive(Default)]
struct Chart {
    wrong: usize,
}

impl Chart {
    fn fine(what: &str, found: impl std::fmt::Display) {
        println!("fine   {what:12} {found}");
    }

    fn wrong(&mut self, what: &str, found: impl std::fmt::Display) {
        self.wrong += 1;
        println!("WRONG  {what:12} {found}");
    }
}

/// Everything that is looked at.
pub struct Patient<'p> {
    pub places: &'p Places,
    pub store: &'p Store,
    pub parts: &'p Parts,
    pub certificates: &'p [PathBuf],
    pub crls: &'p [PathBuf],
    /// The folder is this program's alone: a damaged index may be removed.
    pub repair: bool,
    pub clock: &'p Clock,
}

impl Patient<'_> {
    pub async fn examine(&self) -> Outcome {
        let now = self.clock.now();
        let mut chart = Chart::default();
        self.database(&mut chart).await?;
        // seen before the books: whatever is here by now stands in them
        let indexes = Indexes::beside(self.places.data.join("index"));
        let here: HashSet<BatchId> = indexes.all_here().map_err(Failure::refused)?.into_iter().collect();
        let stored = self.parts.list().await?;
        let held = self.store.held_batches().await?;
        self.stored_parts(&mut chart, &held).await;
        Self::orphans(&mut chart, stored, &held, now);
        self.indexes(&mut chart, &indexes, &held).await?;
        self.strays(&mut chart, &indexes, &here, &held).await?;
        self.certificates.iter().for_each(|path| certificate(&mut chart, path, now));
        self.crls.iter().for_each(|path| crl(&mut chart, path, now));
        match chart.wrong {
            0 => Ok(()),
            1 => Err(Failure::refused("1 thing is wrong")),
            more => Err(Failure::refused(format!("{more} things are wrong"))),
        }
    }

    async fn database(&self, chart: &mut Chart) -> ServerResult<()> {
        let (version, known) = (self.store.version().await?, newest());
        let database = &self.places.database;
        let differs = format!("{database} has version {version}, this program {known}");
        match version.cmp(&known) {
            Ordering::Equal => Chart::fine("database", format!("{database}, version {version}")),
            Ordering::Less => chart.wrong("database", format!("{differs}: a server that starts brings it up to date")),
            Ordering::Greater => chart.wrong("database", format!("{differs}: use the later program")),
        }
        if let Some(damage) = self.store.damage().await? {
            chart.wrong(
                "database",
                format!(
                    "the database is damaged: {damage}; stop its server and put a backup back into an empty folder"
                ),
            );
            return Ok(());
        }
        // by now: to look whether it is damaged may have taken long
        let ahead = |theirs: Timestamp| theirs.as_second() - self.clock.now().as_second();
        match (self.store.clock().await?.map(ahead), self.last_entry().await?.map(ahead)) {
            (Some(skew), _) if skew.abs() > SKEW => {
                chart.wrong("clock", format!("the database's is {skew} s ahead of this machine's: leases do not hold"))
            }
            (_, Some(skew)) if skew > SKEW => chart.wrong(
                "clock",
                format!(
                    "the log's last entry is {skew} s ahead of this machine's: it is set back, or a server's is ahead"
                ),
            ),
            (Some(_), _) => Chart::fine("clock", "agrees with the database's"),
            (None, _) => Chart::fine("clock", "not behind the log's last entry"),
        }
        Ok(())
    }

    /// When the last thing was done that the log has.
    async fn last_entry(&self) -> ServerResult<Option<Timestamp>> {
        let last = self.store.entry_count().await?.saturating_sub(1);
        let entries = self.store.entries(last, 1).await?;
        Ok(entries.first().and_then(|entry| Entry::parse(entry.as_bytes())).map(|entry| entry.at))
    }

    /// Reads every part that somebody may want.
    async fn stored_parts(&self, chart: &mut Chart, held: &[HeldBatch]) {
        let needed: Vec<&HeldBatch> = held.iter().filter(|held| held.is_needed()).collect();
        let count = needed.iter().map(|held| held.parts.len()).sum::<usize>();
        let progress = terminal::bar(count as u64, "reading parts");
        let mut bad = 0;
        for held in needed {
            let shelf = match self.store.shelf(held.batch).await {
                Ok(shelf) => shelf,
                Err(why) => {
                    bad += 1;
                    chart.wrong("parts", format!("of batch {}: {why}", held.batch));
                    continue;
                }
            };
            let infos = held.parts.iter().filter_map(|number| held.header.parts.get(*number as usize));
            for info in infos {
                if let Err(why) = self.parts.get(&shelf, info).await {
                    bad += 1;
                    let agency = &held.header.agency;
                    chart.wrong(
                        "parts",
                        format!(
                            "of `{agency}`: {why}; restore it from a backup, or have `{agency}` encode and submit anew"
                        ),
                    );
                }
                progress.inc(1);
            }
            let missing = held.header.parts.len() - held.parts.len();
            if held.state != BatchState::Open && missing > 0 {
                bad += 1;
                chart.wrong("parts", format!("{missing} parts of the committed batch {} are not noted", held.batch));
            }
        }
        progress.finish_and_clear();
        if bad == 0 {
            Chart::fine("parts", format!("{count} in {}, whole", self.places.parts));
        }
    }

    fn orphans(chart: &mut Chart, stored: Vec<Object>, held: &[HeldBatch], now: Timestamp) {
        let orphans = gc::orphans(stored, held, &HashSet::new(), now);
        match orphans.first() {
            None => Chart::fine("orphans", "none"),
            Some(first) => {
                let count = orphans.len();
                chart.wrong(
                    "orphans",
                    format!("{count} files belong to no part, as {first}: `hedui server gc` removes them"),
                );
            }
        }
    }

    /// Indexes of this folder against what the books say.
    async fn indexes(&self, chart: &mut Chart, indexes: &Indexes, held: &[HeldBatch]) -> Outcome {
        for held in held.iter().filter(|held| matches!(held.state, BatchState::Indexed | BatchState::Extended)) {
            let (batch, agency, folder) = (held.batch, &held.header.agency, indexes.folder(held.batch));
            match indexes.open(batch, &held.header) {
                Ok(_) => Chart::fine("index", format!("of `{agency}`, batch {batch}")),
                Err(_) if !folder.exists() => {
                    Chart::fine(
                        "index",
                        format!("of `{agency}` is not in this folder; a worker that starts builds it"),
                    );
                }
                Err(why) if self.repair => {
                    self.remove(&folder, format!("the damaged index of batch {batch}, which is built anew")).await?;
                    Chart::fine("index", format!("of `{agency}`: {why}; removed, a worker that starts builds it anew"));
                }
                Err(why) => chart.wrong(
                    "index",
                    format!("of `{agency}`: {why}; stop this folder's server and use `--repair`, or restart it"),
                ),
            }
        }
        Ok(())
    }

    /// Indexes of this folder, ready or in the making, of batches that are not in the books.
    async fn strays(
        &self,
        chart: &mut Chart,
        indexes: &Indexes,
        here: &HashSet<BatchId>,
        held: &[HeldBatch],
    ) -> Outcome {
        let held: HashSet<BatchId> = held.iter().map(|held| held.batch).collect();
        let strays = here.difference(&held);
        let folders = strays.flat_map(|batch| [(batch, indexes.folder(*batch)), (batch, indexes.partial(*batch))]);
        for (batch, folder) in folders.filter(|(_, folder)| folder.exists()) {
            let found = format!("{}: an index of a batch that nobody holds", folder.display());
            if self.repair {
                self.remove(&folder, format!("the index of batch {batch}, which nobody holds")).await?;
                Chart::fine("orphans", format!("{found}; removed"));
            } else {
                chart.wrong("orphans", format!("{found}; a worker that starts removes it, as `--repair` does"));
            }
        }
        Ok(())
    }

    async fn remove(&self, folder: &Path, what: String) -> Outcome {
        std::fs::remove_dir_all(folder).map_err(|e| Failure::file("remove", folder, &e))?;
        let act = format!("removed {what}");
        self.store.note(Event::Administered { act }, self.clock.now()).await.map(drop).map_err(Failure::from)
    }
}

fn certificate(chart: &mut Chart, path: &Path, now: Timestamp) {
    let ends = match term(path) {
        Ok(term) => term.end,
        Err(why) => return chart.wrong("certificate", why.message),
    };
    let days = (ends.as_second() - now.as_second()).div_euclid(86_400);
    match days {
        ..0 => chart.wrong("certificate", format!("{} has expired", path.display())),
        0..DAYS_LEFT => chart.wrong("certificate", format!("{} expires in {days} days", path.display())),
        _ => Chart::fine("certificate", format!("{}: {days} days left", path.display())),
    }
}

fn crl(chart: &mut Chart, path: &Path, now: Timestamp) {
    let list = match Pem::read(path).and_then(|pem| Revocations::parse(&pem)) {
        Ok(list) => list,
        Err(why) => return chart.wrong("crl", why.message),
    };
    let (path, ends) = (path.display(), list.ends);
    match list.standing(now) {
        Standing::Holds => Chart::fine("crl", format!("{path}: holds until {ends}")),
        Standing::EndsSoon => {
            chart.wrong(
                "crl",
                format!("{path} ends at {ends}, and then its authority's clients are refused: have it written anew"),
            );
        }
        Standing::Ended => chart.wrong("crl", format!("{path} ended at {ends}: its authority's clients are refused")),
    }
}
