//! The agent of this machine as the controller sees it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use agent::Agent;
use controller::host::{Counters, Dropped, Host, Port, Session};
use feed::{Delta, Full, Gap};

/// The agent of this machine.
pub(crate) struct Local(pub(crate) Agent);

impl Host for Local {
    fn full(&self, full: Full) {
        self.0.full(full);
    }

    fn delta(&self, delta: Delta) -> Result<(), Gap> {
        self.0.delta(delta)
    }

    fn settled(&self, revision: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.settled(revision))
    }

    fn drops(&self, since: u64) -> (Vec<Dropped>, u64) {
        let (records, next) = self.0.drops(since);
        let dropped = |record: agent::DropRecord| Dropped {
            sequence: record.sequence,
            at: record.at,
            port: port(record.port),
            tuple: record.tuple,
            reason: record.reason,
            step: record.step,
            object: record.object,
            rule: record.rule,
        };
        (records.into_iter().map(dropped).collect(), next)
    }

    fn counters(&self) -> BTreeMap<Port, Counters> {
        let counters = |passed: agent::PortCounters| Counters {
            rx_packets: passed.rx_packets,
            rx_bytes: passed.rx_bytes,
            tx_packets: passed.tx_packets,
            tx_bytes: passed.tx_bytes,
            upcalls: passed.upcalls,
            drops: passed.drops,
        };
        self.0
            .counters()
            .into_iter()
            .map(|(name, passed)| (port(name), counters(passed)))
            .collect()
    }

    fn sessions(&self) -> Vec<Session> {
        let session = |info: agent::SessionInfo| Session {
            id: info.id,
            port: info.port.map(port),
            tuple: info.tuple,
            reply_port: info.reply_port.map(port),
            reply_tuple: info.reply_tuple,
            packets: info.packets,
            bytes: info.bytes,
            idle_ms: info.idle_ms,
        };
        self.0.sessions().into_iter().map(session).collect()
    }
}

fn port(name: agent::PortName) -> Port {
    match name {
        agent::PortName::Interface(id) => Port::Interface(id),
        agent::PortName::Uplink => Port::Uplink,
    }
}
