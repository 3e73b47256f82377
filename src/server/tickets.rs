//! Tickets that have been checked, so that a request need not check them again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hedui_protocol::ids::CommissionId;
use hedui_protocol::ticket::Granted;

use super::Linkage;
use super::error::{ServerError, ServerResult};

/// Subjects of all remembered tickets together; a subject takes some 300 bytes.
const SUBJECTS: usize = 500_000;

#[derive(Default)]
pub struct Tickets(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    tickets: HashMap<CommissionId, Arc<Granted>>,
    subjects: usize,
}

impl Tickets {
    pub fn remember(&self, ticket: Granted) -> Arc<Granted> {
        let ticket = Arc::new(ticket);
        let mut known = self.0.lock().expect("no holder of the lock panics");
        if known.subjects > SUBJECTS {
            *known = Remembered::default();
        }
        known.subjects += ticket.ticket().subjects.len();
        known.tickets.insert(ticket.id(), Arc::clone(&ticket));
        ticket
    }

    fn known(&self, commission: CommissionId) -> Option<Arc<Granted>> {
        self.0.lock().expect("no holder of the lock panics").tickets.get(&commission).cloned()
    }
}

impl Linkage {
    /// The ticket of a commission that is filed.
    pub(super) async fn granted(&self, commission: CommissionId) -> ServerResult<Arc<Granted>> {
        if let Some(known) = self.tickets.known(commission) {
            return Ok(known);
        }
        let signed = self.store.ticket(commission).await?;
        let ticket = Granted::check(&signed, &self.project.manifest).map_err(ServerError::failed)?;
        Ok(self.tickets.remember(ticket))
    }
}
