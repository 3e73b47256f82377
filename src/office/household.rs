//! Households, as the office's list holds them: members, their relation, their authorisation.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use hedui_protocol::manifest::Manifest;

use super::authorisation::{Excluded, ScopeLetter, covered, standing, understood};
use super::commission::Encoders;
use crate::failure::Outcome;
use crate::options::DataFile;
use crate::table::columns::Columns;
use crate::table::row_ids::RowIds;
use crate::terminal;

/// Which columns of the list hold what.
#[derive(Args, Clone, Debug)]
pub struct ListColumns {
    /// The column with the household's number
    #[arg(long, value_name = "COLUMN", default_value = "household_no")]
    household: String,
    /// The column with the relation to the household's head
    #[arg(long, value_name = "COLUMN", default_value = "relation")]
    relation: String,
    /// The column with the authorisation's number
    #[arg(long, value_name = "COLUMN", default_value = "consent_no")]
    authorisation: String,
    /// The column with the agencies that the authorisation covers
    #[arg(long, value_name = "COLUMN", default_value = "consent_scope")]
    scope: String,
    /// The column with the authorisation's status; only `valid` (有效) authorises
    #[arg(long, value_name = "COLUMN", default_value = "consent_status")]
    status: String,
    /// How the scope column abbreviates an agency; may be given several times
    #[arg(long, value_name = "LETTER=AGENCY")]
    scope_letter: Vec<ScopeLetter>,
}

pub struct Household {
    pub number: String,
    pub members: Vec<Member>,
}

/// One row of the list. Personal data: not `Debug`.
pub struct Member {
    pub row_id: String,
    pub relation: String,
    pub authorisation_no: String,
    /// One cell a field of the schema.
    pub cells: Vec<String>,
    /// The agencies that may be asked about this person, or why none may.
    pub agencies: Result<Vec<String>, Excluded>,
    /// Every agency that the authorisation covers, asked in this run or not.
    pub covered: Vec<String>,
}

/// Reads the whole list, household by household, in order of their numbers. A person who would be asked about and cannot
/// be encoded is refused here, before anything is sent.
pub fn read(
    data: &DataFile,
    columns: &ListColumns,
    manifest: &Manifest,
    asked: &[String],
    encoders: &Encoders,
) -> Outcome<Vec<Household>> {
    let mut table = data.format.open(&data.data)?;
    let identity = Columns::find(&table, &manifest.schema, &data.format.map)?;
    let ids = RowIds::find(&table, &data.format.id)?;
    let mut seen: HashMap<String, u64> = HashMap::new();
    let positions = [&columns.household, &columns.relation, &columns.authorisation, &columns.scope, &columns.status]
        .map(|column| table.require(column));
    let [household, relation, authorisation, scope, status] = positions;
    let (household, relation, authorisation, scope, status) = (household?, relation?, authorisation?, scope?, status?);
    let all: Vec<String> = manifest.agencies.iter().map(|agency| agency.name.clone()).collect();
    let mut strange = Vec::new();
    let mut households: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    loop {
        let rows = table.next_rows(4096)?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let cell = |at: usize| row.cells.get(at).unwrap_or("").trim().to_owned();
            if !understood(&cell(scope), &columns.scope_letter, manifest) {
                strange.push(row.number);
            }
            let stands = standing(&cell(status));
            let covered = match stands {
                Ok(()) => covered(&cell(scope), &columns.scope_letter, &all),
                Err(_) => Vec::new(),
            };
            let agencies = stands.and_then(|()| {
                let agencies: Vec<String> = asked.iter().filter(|agency| covered.contains(agency)).cloned().collect();
                if agencies.is_empty() { Err(Excluded::NotCovered) } else { Ok(agencies) }
            });
            if cell(household).is_empty() {
                return Err(ids
                    .error_at(&row, &format!("`{}` is empty", columns.household))
                    .hint("people without a household number would be taken for one household"));
            }
            let row_id = ids.of(&row)?.to_owned();
            if let Some(earlier) = seen.insert(row_id.clone(), row.number) {
                return Err(ids.repeated(row.number, earlier));
            }
            let cells = identity.cells(&row);
            for agency in agencies.iter().flatten() {
                encoders.of(agency).check(&cells).map_err(|e| ids.error_at(&row, &e.to_string()))?;
            }
            households.entry(cell(household)).or_default().push(Member {
                row_id,
                relation: cell(relation),
                authorisation_no: cell(authorisation),
                cells: cells.into_iter().map(str::to_owned).collect(),
                agencies,
                covered,
            });
        }
    }
    table.refuse_empty()?;
    if let Some(first) = strange.first() {
        terminal::note(format!(
            "{}: `{}` has words that name no agency in {} rows, first in row {first}; such words cover nothing. Letters \
             are declared with `--scope-letter`",
            table.name,
            columns.scope,
            strange.len(),
        ));
    }
    Ok(households.into_iter().map(|(number, members)| Household { number, members }).collect())
}
