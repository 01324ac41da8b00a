//! The state of every region and account: one ordered, persistent table for each kind of record.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A stored record: what the store keeps as JSON under (`KIND`, id).
pub trait Record: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the kind in the store. Never changes: stores on disk have it.
    const KIND: &'static str;
    /// Its key.
    type Id: Ord + Clone + Display + FromStr + Send + Sync;

    /// The record's key.
    fn id(&self) -> Self::Id;
    /// The table of this kind.
    fn table(state: &State) -> &Table<Self>;
    /// The table of this kind, to change it.
    fn table_mut(state: &mut State) -> &mut Table<Self>;
}

/// A table of records; cloning it is cheap, and a clone shares what does not change.
pub type Table<R> = RedBlackTreeMapSync<<R as Record>::Id, Arc<R>>;

/// A stored record that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("stored {kind} `{id}` cannot be read: {why}")]
pub struct Unreadable {
    kind: String,
    id: String,
    why: String,
}

macro_rules! tables {
    ($( $(#[doc = $doc:literal])+ $field:ident : $record:path, $id:path, $kind:literal; )+) => {
        /// Everything that is stored, of all regions and accounts.
        #[derive(Clone, Default)]
        pub struct State {
            $( $(#[doc = $doc])+ pub $field: RedBlackTreeMapSync<$id, Arc<$record>>, )+
        }

        $(
            impl Record for $record {
                const KIND: &'static str = $kind;
                type Id = $id;

                fn id(&self) -> $id { self.id.clone() }
                fn table(state: &State) -> &Table<$record> { &state.$field }
                fn table_mut(state: &mut State) -> &mut Table<$record> { &mut state.$field }
            }
        )+

        impl State {
            /// Takes a change as the store has it: `body` is the record's JSON, or `None` if it was deleted.
            ///
            /// # Errors
            /// [`Unreadable`] if the kind is unknown, or the id or the body is not of this kind.
            pub fn load(&mut self, kind: &str, id: &str, body: Option<&[u8]>) -> Result<(), Unreadable> {
                match kind {
                    $( $kind => load_into::<$record>(self, id, body), )+
                    _ => Err(Unreadable { kind: kind.to_owned(), id: id.to_owned(), why: "unknown kind".to_owned() }),
                }
            }
        }
    };
}

fn load_into<R: Record>(
    state: &mut State,
    id: &str,
    body: Option<&[u8]>,
) -> Result<(), Unreadable> {
    let unreadable = |why: String| Unreadable {
        kind: R::KIND.to_owned(),
        id: id.to_owned(),
        why,
    };
    let key: R::Id = id
        .parse()
        .map_err(|_| unreadable("the key is malformed".to_owned()))?;
    let table = R::table_mut(state);
    match body {
        None => {
            table.remove_mut(&key);
        }
        Some(body) => {
            let record: R = serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))?;
            if record.id() != key {
                return Err(unreadable("the key is another record's".to_owned()));
            }
            table.insert_mut(key, Arc::new(record));
        }
    }
    Ok(())
}

tables! {
    /// Accounts that were used in a region, by `account/region`.
    accounts: crate::account::Account, crate::account::AccountKey, "account";
    /// VPCs.
    vpcs: crate::vpc::Vpc, types::VpcId, "vpc";
    /// Subnets.
    subnets: crate::subnet::Subnet, types::SubnetId, "subnet";
    /// Route tables with their routes and associations.
    route_tables: crate::route_table::RouteTable, types::RouteTableId, "route-table";
    /// Internet gateways.
    internet_gateways: crate::internet_gateway::InternetGateway, types::GatewayId, "internet-gateway";
    /// Network ACLs.
    network_acls: crate::network_acl::NetworkAcl, types::AclId, "network-acl";
    /// Security groups with their rules.
    security_groups: crate::security_group::SecurityGroup, types::GroupId, "security-group";
    /// Network interfaces.
    interfaces: crate::network_interface::NetworkInterface, types::InterfaceId, "network-interface";
    /// Elastic IP addresses.
    addresses: crate::address::Address, types::AllocationId, "address";
    /// Instances.
    instances: crate::instance::Instance, types::InstanceId, "instance";
}
