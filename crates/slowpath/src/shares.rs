//! Who has how many sessions, in the words that the kernel program counts in too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastpath_core::abi::MAX_PORTS;
use fastpath_core::template::{
    USAGE_ACCOUNTS, USAGE_ALL, USAGE_MAX, USAGE_PORT_MAX, USAGE_PORTS, USAGE_UNTIL, Usage, take,
};
use types::AccountId;

use crate::session::Payer;

/// The words of one payer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Words {
    pub(crate) port: u32,
    pub(crate) account: u32,
}

#[derive(Debug)]
pub(crate) struct Shares {
    usage: Arc<dyn Usage>,
    max: u64,
    port_max: u64,
    ports: BTreeMap<u32, Words>,
    accounts: BTreeMap<Option<AccountId>, u32>,
}

impl Shares {
    /// Nobody has anything.
    pub(crate) fn new(usage: Arc<dyn Usage>, max: usize, port_max: usize) -> Shares {
        let bound = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let shares = Shares {
            usage,
            max: bound(max),
            port_max: bound(port_max),
            ports: BTreeMap::new(),
            accounts: BTreeMap::new(),
        };
        // First of all: nobody adds from now on.
        shares.set(USAGE_UNTIL, 0);
        shares.set(USAGE_ALL, 0);
        for word in USAGE_PORTS..USAGE_ACCOUNTS + MAX_PORTS {
            shares.set(word, 0);
        }
        shares.set(USAGE_MAX, shares.max);
        shares.set(USAGE_PORT_MAX, shares.port_max);
        shares
    }

    fn word(&self, index: u32) -> &AtomicU64 {
        self.usage.word(index)
    }

    fn set(&self, index: u32, value: u64) {
        self.word(index).store(value, Ordering::SeqCst);
    }

    /// Until then the kernel program may use templates.
    pub(crate) fn lend(&self, until_ns: u64) {
        self.set(USAGE_UNTIL, until_ns);
    }

    /// How many of the sessions that there may be there are, in 256ths.
    pub(crate) fn fullness(&self) -> u64 {
        let used = self.word(USAGE_ALL).load(Ordering::SeqCst);
        used.saturating_mul(256) / self.max.max(1)
    }

    /// How many of the sessions that it may have a port has, in 256ths.
    pub(crate) fn port_fullness(&self, port: u32) -> u64 {
        let Some(words) = self.ports.get(&port) else {
            return 0;
        };
        let used = self.word(words.port).load(Ordering::SeqCst);
        used.saturating_mul(256) / self.port_max.max(1)
    }

    /// The fullness of whatever is fullest: the whole, or a port.
    pub(crate) fn fullest(&self) -> u64 {
        let ports = self.ports.keys().map(|port| self.port_fullness(*port));
        ports.max().unwrap_or(0).max(self.fullness())
    }

    /// The payer's words. `None` if there are more payers than words.
    pub(crate) fn of(&mut self, payer: Payer) -> Option<Words> {
        if let Some(words) = self.ports.get(&payer.port) {
            return Some(*words);
        }
        let account = match self.accounts.get(&payer.account) {
            Some(account) => *account,
            None => self.new_account(payer.account)?,
        };
        let taken: BTreeSet<u32> = self.ports.values().map(|words| words.port).collect();
        let port = (USAGE_PORTS..USAGE_ACCOUNTS).find(|word| !taken.contains(word))?;
        self.set(port, 0);
        let words = Words { port, account };
        self.ports.insert(payer.port, words);
        Some(words)
    }

    /// A word for an account; if there is none, those of accounts without ports and sessions are free again.
    fn new_account(&mut self, account: Option<AccountId>) -> Option<u32> {
        let words = USAGE_ACCOUNTS..USAGE_ACCOUNTS + MAX_PORTS;
        if self.accounts.len() >= words.len() {
            let used: BTreeSet<u32> = self.ports.values().map(|words| words.account).collect();
            let usage = Arc::clone(&self.usage);
            self.accounts.retain(|_, word| {
                used.contains(word) || usage.word(*word).load(Ordering::SeqCst) != 0
            });
        }
        let taken: BTreeSet<u32> = self.accounts.values().copied().collect();
        let word = words.into_iter().find(|word| !taken.contains(word))?;
        self.set(word, 0);
        self.accounts.insert(account, word);
        Some(word)
    }

    /// The port is gone, and with it what the kernel program has made for it: that is never followed again.
    pub(crate) fn forget(&mut self, port: u32) {
        let Some(words) = self.ports.remove(&port) else {
            return;
        };
        let left = self.word(words.port).swap(0, Ordering::SeqCst);
        for word in [USAGE_ALL, words.account] {
            less(self.word(word), left);
        }
    }

    /// Takes room for a session; false if there is none.
    pub(crate) fn take(&mut self, payer: Payer) -> bool {
        let Some(words) = self.of(payer) else {
            return false;
        };
        let (all, account) = (self.word(USAGE_ALL), self.word(words.account));
        take(all, account, self.word(words.port), self.max, self.port_max)
    }

    /// Gives the room of a session back.
    pub(crate) fn give_back(&self, payer: Payer) {
        if let Some(words) = self.ports.get(&payer.port) {
            for word in [USAGE_ALL, words.account, words.port] {
                less(self.word(word), 1);
            }
        }
    }
}

/// Only this process takes from words, but for what the kernel program has added a moment before.
fn less(word: &AtomicU64, by: u64) {
    let lower = |value: u64| Some(value.saturating_sub(by));
    let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lower);
}
