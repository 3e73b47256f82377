//! An agency's table: which columns are identity, which are payload, which is the row's own id.

use hedui_protocol::manifest::{Item, Level};
use hedui_protocol::payload::Payload;
use hedui_protocol::schema::Schema;
use jiff::civil::Date;

use crate::failure::Outcome;
use crate::options::DataFile;
use crate::table::columns::Columns;
use crate::table::row_ids::RowIds;
use crate::table::{Row, Table};

/// An open table with its columns found.
pub struct AgencyTable {
    pub table: Table,
    pub identity: Columns,
    pub layout: Layout,
}

/// Where the ids and the payload columns stand.
pub struct Layout {
    pub ids: RowIds,
    payload: Vec<(String, usize)>,
    as_of: Date,
}

impl AgencyTable {
    /// `items` are those that the agency answers.
    pub fn open(data: &DataFile, schema: &Schema, items: &[Item], as_of: Date) -> Outcome<Self> {
        let table = data.format.open(&data.data)?;
        let identity = Columns::find(&table, schema, &data.format.map)?;
        let ids = RowIds::find(&table, &data.format.id)?;
        let mut payload = Vec::new();
        for column in items.iter().flat_map(|item| item.columns.iter().chain(&item.measure)) {
            payload.push((column.clone(), table.require(column)?));
        }
        Ok(Self { table, identity, layout: Layout { ids, payload, as_of } })
    }
}

impl Layout {
    /// What `item` tells of this row at `level`.
    pub fn payload(&self, row: &Row, item: &Item, level: Level) -> Outcome<Vec<u8>> {
        let payload = Payload::of(item, level, self.as_of, |column| self.cell(row, column));
        Ok(payload.map_err(|e| self.ids.error_at(row, &e.to_string()))?.to_bytes())
    }

    /// The figure of the first of `items` that is no number.
    pub fn bad_figure<'r>(&self, row: &'r Row, items: &[Item]) -> Option<&'r str> {
        let reads = |item: &Item| item.levels.iter().all(|level| self.payload(row, item, *level).is_ok());
        let bad = items.iter().find(|item| !reads(item))?;
        Some(bad.measure.as_ref().map_or("", |measure| self.cell(row, measure)))
    }

    fn cell<'r>(&self, row: &'r Row, column: &str) -> &'r str {
        let position = self.payload.iter().find(|(name, _)| name == column).map(|(_, at)| *at);
        position.and_then(|at| row.cells.get(at)).unwrap_or("")
    }
}
