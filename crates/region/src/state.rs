//! The state of every region and account: one ordered, persistent table for each kind of record.

use types::ObjectId;

use crate::table::{Key, Record, Table};

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
            $( $(#[doc = $doc])+ pub $field: Table<$record>, )+
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

            /// What refers to a resource: kind and id of each record, by kind.
            pub fn referrers(&self, id: impl Into<ObjectId>) -> Vec<(&'static str, String)> {
                let key = Key::Of(id.into());
                let mut found = Vec::new();
                $( found.extend(self.$field.by(key.clone()).map(|record| ($kind, record.id().to_string()))); )+
                found
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
            table.remove(&key);
        }
        Some(body) => {
            let record: R = serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))?;
            if record.id() != key {
                return Err(unreadable("the key is another record's".to_owned()));
            }
            table.put(record);
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
    /// Managed prefix lists with their versions.
    prefix_lists: crate::prefix_list::PrefixList, types::PrefixListId, "prefix-list";
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
