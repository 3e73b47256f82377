//! What the commissions of a log ask: an entry about one has its levels from there.

use std::collections::HashMap;

use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::Event;
use hedui_protocol::ticket::Asked;

/// As the log has filed them so far.
#[derive(Default)]
pub struct Asks(HashMap<CommissionId, Vec<Asked>>);

impl Asks {
    pub fn read(&mut self, event: &Event) {
        if let Event::CommissionFiled { commission, items, .. } = event {
            self.0.insert(*commission, items.clone());
        }
    }

    /// What the commission asks that an event is about; nothing where it is about none that was filed.
    pub fn of(&self, event: &Event) -> &[Asked] {
        event.commission().and_then(|commission| self.0.get(&commission)).map_or(&[], Vec::as_slice)
    }
}
