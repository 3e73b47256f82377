//! Walks the people in the order of each file and writes the rows; nothing is kept but a bit and a half a person.

use super::{
    Progress,
    application::Applications,
    dice::{Dice, Purpose, Streams, coin, hash},
    error::SynthError,
    flaws::{Rates, rates},
    holdings,
    household::Household,
    output::Output,
    pen::Pen,
    population::Population,
    ranked::RankedBits,
    register::Register,
    shuffle::Shuffle,
};
use std::{fmt::Write as _, path::Path};

/// What the files of one city have in common.
pub(super) struct Files<'a> {
    pub(super) folder: &'a Path,
    pub(super) seed: u64,
    pub(super) population: &'a Population,
}

/// Which row of the office's file is whose.
pub(super) struct OfficeRows {
    order: Shuffle,
    /// Bit `n` says that who stands at place `n` of the order is an applicant.
    applicants: RankedBits,
    pub(super) households: u64,
}

impl OfficeRows {
    pub(super) fn count(&self) -> u64 {
        self.applicants.ones()
    }

    fn row_of(&self, person: u64) -> u64 {
        self.applicants.rank(self.order.place_of(person))
    }
}

/// How much an agency's file and its truth hold.
pub(super) struct Written {
    pub(super) rows: u64,
    pub(super) true_pairs: u64,
}

/// What a row is about: a person, perhaps for the second time.
struct Entry {
    person: u64,
    copy: u64,
}

impl Files<'_> {
    pub(super) fn office(&self, progress: &mut Progress<'_>) -> Result<OfficeRows, SynthError> {
        let register = Register::Office;
        let mut file = self.begin(register)?;
        let applications = Applications::new(self.seed);
        let mut writer = RowWriter::new(self, register);
        let order = Shuffle::new(self.population.people(), self.order_key(register));
        let (mut applicants, mut households) = (RankedBits::default(), 0);
        for place in 0..self.population.people() {
            let person = order.at(place);
            let (number, at) = self.population.locate(person);
            let applies = self.population.applies(number);
            if applies {
                households += u64::from(at == 0);
                let household = self.population.household(number);
                let mut dice = writer.person(applicants.ones(), &Entry { person, copy: 0 }, &household, at);
                applications.write(number, person, household.members[at].relation, &mut dice, &mut writer.line);
                file.line(&writer.line)?;
            }
            applicants.push(applies);
            report(place, 1, progress)?;
        }
        file.finish()?;
        Ok(OfficeRows { order, applicants, households })
    }

    pub(super) fn agency(
        &self,
        register: Register,
        office: &OfficeRows,
        progress: &mut Progress<'_>,
    ) -> Result<Written, SynthError> {
        let mut file = self.begin(register)?;
        let mut truth = Output::create(self.folder, &truth_name(register))?;
        truth.line("id_a,id_b")?;
        let mut writer = RowWriter::new(self, register);
        let clients = Clients::new(self, register);
        let entries = 2 * self.population.people();
        let order = Shuffle::new(entries, self.order_key(register));
        let mut written = Written { rows: 0, true_pairs: 0 };
        for place in 0..entries {
            let item = order.at(place);
            let entry = Entry { person: item / 2, copy: item % 2 };
            if let Some(client) = clients.find(&entry) {
                let mut dice = writer.person(written.rows, &entry, &client.household, client.at);
                holdings::write(register, client.applies, &mut dice, &mut writer.line);
                file.line(&writer.line)?;
                if client.applies {
                    let row = office.row_of(entry.person);
                    truth.line(&format!("O{row:08},{}{:08}", register.letter(), written.rows))?;
                    written.true_pairs += 1;
                }
                written.rows += 1;
            }
            report(place, 2, progress)?;
        }
        file.finish()?;
        truth.finish()?;
        Ok(written)
    }

    fn begin(&self, register: Register) -> Result<Output, SynthError> {
        let mut file = Output::create(self.folder, &file_name(register))?;
        file.line(&format!("id,name,id_no,dob,sex,phone,address,{}", register.own_columns()))?;
        Ok(file)
    }

    fn order_key(&self, register: Register) -> u64 {
        Streams::new(self.seed, Purpose::Order, register as u8).key()
    }
}

pub(super) fn file_name(register: Register) -> String {
    format!("{}.csv", register.name())
}

pub(super) fn truth_name(register: Register) -> String {
    format!("truth_{}.csv", register.name())
}

/// Whom an agency knows.
struct Clients<'a> {
    population: &'a Population,
    register: Register,
    coins: u64,
}

/// A person that an agency knows.
struct Client {
    household: Household,
    at: usize,
    applies: bool,
}

impl<'a> Clients<'a> {
    fn new(files: &Files<'a>, register: Register) -> Self {
        let coins = Streams::new(files.seed, Purpose::Member, register as u8).key();
        Self { population: files.population, register, coins }
    }

    /// The cheap questions first: most entries are turned down before their household is made.
    fn find(&self, entry: &Entry) -> Option<Client> {
        let (clientele, coins) = (self.register.clientele(), hash(self.coins, entry.person));
        let again = entry.copy == 0 || coin(coins, 2, clientele.again);
        if !again || !coin(coins, 0, clientele.largest_share()) {
            return None;
        }
        let (number, at) = self.population.locate(entry.person);
        let applies = self.population.applies(number);
        if !coin(coins, 0, clientele.share(applies)) {
            return None;
        }
        let household = self.population.household(number);
        clientele.eligible(household.members[at].age()).then_some(Client { household, at, applies })
    }
}

/// Makes the lines of one file in a buffer that is used again.
struct RowWriter<'a> {
    population: &'a Population,
    register: Register,
    streams: Streams,
    line: String,
    rates: Rates,
}

impl<'a> RowWriter<'a> {
    fn new(files: &Files<'a>, register: Register) -> Self {
        let streams = Streams::new(files.seed, Purpose::Row, register as u8);
        let line = String::with_capacity(512);
        Self { population: files.population, register, streams, line, rates: rates(register) }
    }

    /// Begins a line with its id and the person; what else the row needs is drawn from the dice that come back.
    fn person(&mut self, row: u64, entry: &Entry, household: &Household, at: usize) -> Dice {
        self.line.clear();
        write!(self.line, "{}{row:08}", self.register.letter()).expect("a string takes any text");
        let numbers = &self.population.families.numbers;
        let dice = self.streams.stream(2 * entry.person + entry.copy);
        let mut pen = Pen { register: self.register, numbers, dice, rates: &self.rates };
        pen.write(household, at, &mut self.line);
        pen.dice
    }
}

/// Says from time to time how many people a walk has seen, of which each takes so many steps.
fn report(place: u64, steps: u64, progress: &mut Progress<'_>) -> Result<(), SynthError> {
    if place.is_multiple_of(4096) { progress(place / steps) } else { Ok(()) }
}
