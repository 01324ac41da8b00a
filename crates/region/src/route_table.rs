//! Route tables: the tables and their routes. Associations are in [`crate::route_table_association`].

use std::collections::BTreeMap;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AssociationId, Cidr, GatewayId, InstanceId, InterfaceId, ObjectId, RegionName,
    RouteTableId, SubnetId, VpcId,
};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::resource::{self, Query, Resource, resource};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, State, Subnet, Tx, Vpc, quota, subnet};

actions! {
    "CreateRouteTable" => create_route_table, Enforced;
    "DeleteRouteTable" => delete_route_table, Enforced;
    "DescribeRouteTables" => describe_route_tables, Control;
}

/// A route table. Which subnets have it stands in the subnets' records; that it is the main one, in the VPC's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouteTable {
    /// Its identifier.
    pub id: RouteTableId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags.
    pub tags: Tags,
    /// The VPC it belongs to.
    pub vpc: VpcId,
    /// The routes that clients made, by destination. The local routes follow from the VPC's blocks.
    pub routes: BTreeMap<Cidr, RouteTarget>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// Where a route leads. The target may be gone or detached meanwhile: then the route is a black hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RouteTarget {
    /// An internet gateway.
    Gateway(GatewayId),
    /// An interface, also one that was named by its instance.
    Interface(InterfaceId),
}

impl RouteTarget {
    /// Which resource it is.
    pub(crate) fn object(self) -> ObjectId {
        match self {
            RouteTarget::Gateway(id) => id.into(),
            RouteTarget::Interface(id) => id.into(),
        }
    }
}

resource!(
    RouteTable,
    "route-table",
    |this, keys| {
        keys.of([this.vpc]);
        keys.of(this.routes.values().map(|target| target.object()));
    },
    |id| resource::unknown_id(
        id,
        "rtb",
        "routeTable ID",
        "InvalidRouteTableID.NotFound",
        "InvalidRouteTableId.Malformed"
    )
);

impl RouteTable {
    /// The table as hosts see it; `None` if its VPC is gone.
    pub(crate) fn project(&self, state: &State) -> Option<topology::RouteTable> {
        let vpc = state.vpcs.get(&self.vpc)?;
        let local = vpc.blocks().map(|destination| topology::Route {
            destination,
            target: topology::Target::Local,
        });
        let made = self
            .routes
            .iter()
            .map(|(destination, target)| topology::Route {
                destination: *destination,
                target: match *target {
                    RouteTarget::Gateway(id) if vpc.internet_gateway == Some(id) => {
                        topology::Target::InternetGateway(id)
                    }
                    RouteTarget::Interface(id) if state.interfaces.contains_key(&id) => {
                        topology::Target::Interface(id)
                    }
                    RouteTarget::Gateway(_) | RouteTarget::Interface(_) => {
                        topology::Target::Blackhole
                    }
                },
            });
        Some(topology::RouteTable {
            id: self.id,
            vpc: self.vpc,
            routes: local.chain(made).collect(),
        })
    }

    /// Whether the VPC uses it for subnets without an association.
    pub(crate) fn is_main(&self, state: &State) -> bool {
        state
            .vpcs
            .get(&self.vpc)
            .is_some_and(|vpc| vpc.main_route_table == self.id)
    }

    /// The subnets that are associated explicitly, by id.
    pub(crate) fn subnets<'s>(
        &self,
        state: &'s State,
    ) -> impl Iterator<Item = (AssociationId, &'s Subnet)> {
        let id = self.id;
        subnet::of_vpc(state, self.vpc).filter_map(move |subnet| {
            subnet
                .route_table
                .filter(|(_, table)| *table == id)
                .map(|(a, _)| (a, subnet))
        })
    }
}

/// The route tables of a VPC, by id.
pub(crate) fn of_vpc(state: &State, vpc: VpcId) -> impl Iterator<Item = &RouteTable> {
    state
        .route_tables
        .of(vpc)
        .filter(move |table| table.vpc == vpc)
}

/// A table with nothing but the local routes.
pub(crate) fn make(
    tx: &mut Tx,
    ctx: &Context<'_>,
    vpc: VpcId,
    tags: Tags,
    client_token: Option<ClientToken>,
) -> RouteTableId {
    let id = RouteTableId::from_bits(ctx.random());
    tx.put(RouteTable {
        id,
        account: ctx.account,
        region: ctx.region.clone(),
        tags,
        vpc,
        routes: BTreeMap::new(),
        client_token,
    });
    id
}

/// Adds 0.0.0.0/0 to the gateway, as a default VPC's main table has it.
pub(crate) fn add_default_route(tx: &mut Tx, table: RouteTableId, gateway: GatewayId) {
    if let Some(mut table) = tx.get::<RouteTable>(&table).cloned() {
        table
            .routes
            .insert(Cidr::ALL_V4, RouteTarget::Gateway(gateway));
        tx.put(table);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateRouteTableRequest {
    tag_specifications: Option<Vec<TagSpecification>>,
    client_token: Option<String>,
    vpc_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateRouteTableReply {
    route_table: TableItem,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TableItem {
    associations: Vec<AssociationItem>,
    propagating_vgws: Vec<()>,
    route_table_id: RouteTableId,
    routes: Vec<RouteItem>,
    tags: Vec<Tag>,
    vpc_id: VpcId,
    owner_id: AccountId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    main: bool,
    route_table_association_id: AssociationId,
    route_table_id: RouteTableId,
    subnet_id: Option<SubnetId>,
    association_state: AssociationState,
}

/// The state of an association in a reply.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssociationState {
    state: &'static str,
}

/// An association's state: they are made at once.
pub(crate) const ASSOCIATED: AssociationState = AssociationState {
    state: "associated",
};

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RouteItem {
    destination_cidr_block: String,
    gateway_id: Option<String>,
    instance_id: Option<InstanceId>,
    instance_owner_id: Option<AccountId>,
    network_interface_id: Option<InterfaceId>,
    origin: &'static str,
    state: &'static str,
}

impl RouteTable {
    /// Every route as EC2 shows it, the local ones first.
    fn shown(&self, state: &State) -> Vec<RouteItem> {
        let Some(vpc) = state.vpcs.get(&self.vpc) else {
            return Vec::new();
        };
        let state_name = |active| if active { "active" } else { "blackhole" };
        let local = vpc.blocks().map(|destination| RouteItem {
            destination_cidr_block: destination.to_string(),
            gateway_id: Some("local".to_owned()),
            origin: "CreateRouteTable",
            state: "active",
            ..RouteItem::default()
        });
        let made = self.routes.iter().map(|(destination, target)| {
            let mut item = RouteItem {
                destination_cidr_block: destination.to_string(),
                origin: "CreateRoute",
                ..RouteItem::default()
            };
            match *target {
                RouteTarget::Gateway(id) => {
                    item.gateway_id = Some(id.to_string());
                    item.state = state_name(vpc.internet_gateway == Some(id));
                }
                RouteTarget::Interface(id) => {
                    let instance = state
                        .interfaces
                        .get(&id)
                        .and_then(|interface| interface.attachment.as_ref())
                        .map(|attachment| attachment.instance);
                    item.network_interface_id = Some(id);
                    item.instance_id = instance;
                    item.instance_owner_id = instance.map(|_| self.account);
                    item.state = state_name(instance.is_some());
                }
            }
            item
        });
        local.chain(made).collect()
    }

    /// The main association, if it is the main table, then the explicit ones.
    fn associations(&self, state: &State) -> Vec<AssociationItem> {
        let item = |id, subnet_id: Option<SubnetId>| AssociationItem {
            main: subnet_id.is_none(),
            route_table_association_id: id,
            route_table_id: self.id,
            subnet_id,
            association_state: ASSOCIATED,
        };
        let main = state
            .vpcs
            .get(&self.vpc)
            .filter(|vpc| vpc.main_route_table == self.id)
            .map(|vpc| item(vpc.main_association, None));
        let explicit = self
            .subnets(state)
            .map(|(id, subnet)| item(id, Some(subnet.id)));
        main.into_iter().chain(explicit).collect()
    }

    fn reply(&self, state: &State) -> TableItem {
        TableItem {
            associations: self.associations(state),
            propagating_vgws: Vec::new(),
            route_table_id: self.id,
            routes: self.shown(state),
            tags: self.tags.reply(),
            vpc_id: self.vpc,
            owner_id: self.account,
        }
    }
}

pub(crate) fn create_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateRouteTableRequest,
) -> Result<CreateRouteTableReply, ApiError> {
    let vpc = resource::find::<Vpc>(tx, ctx, &req.vpc_id)?.id;
    let tags = Tags::of_new(req.tag_specifications.as_deref(), RouteTable::TYPE)?;
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let id = match resource::earlier(tx, ctx, token.as_ref(), |made: &RouteTable| {
        made.client_token.as_ref()
    })? {
        Some(id) => id,
        None => {
            quota::ROUTE_TABLES.one_more(tx, ctx, of_vpc(tx.state(), vpc).count())?;
            make(tx, ctx, vpc, tags, token)
        }
    };
    let table = resource::get::<RouteTable>(tx, &id)?;
    Ok(CreateRouteTableReply {
        route_table: table.reply(tx.state()),
        client_token: req.client_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRouteTablesRequest {
    filters: Option<Vec<Filter>>,
    route_table_ids: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeRouteTablesReply {
    route_tables: Vec<TableItem>,
    next_token: Option<String>,
}

/// What every association, or every route, of a table has in one place.
fn each<T>(items: Vec<T>, value: impl Fn(&T) -> Option<String>) -> Vec<String> {
    items.iter().filter_map(value).collect()
}

const FILTERS: &[Field<RouteTable>] = &[
    // Tables are associated with subnets only.
    ("association.gateway-id", |_, _| vec![]),
    ("association.main", |state, table| {
        let associations = table.associations(state);
        if associations.is_empty() {
            return vec!["false".to_owned()];
        }
        each(associations, |a| Some(a.main.to_string()))
    }),
    ("association.route-table-association-id", |state, table| {
        each(table.associations(state), |a| {
            Some(a.route_table_association_id.to_string())
        })
    }),
    ("association.route-table-id", |state, table| {
        each(table.associations(state), |a| {
            Some(a.route_table_id.to_string())
        })
    }),
    ("association.subnet-id", |state, table| {
        each(table.associations(state), |a| {
            a.subnet_id.map(|id| id.to_string())
        })
    }),
    ("owner-id", |_, table| vec![table.account.to_string()]),
    ("route-table-id", |_, table| vec![table.id.to_string()]),
    ("route.destination-cidr-block", |state, table| {
        each(table.shown(state), |r| {
            Some(r.destination_cidr_block.clone())
        })
    }),
    ("route.destination-ipv6-cidr-block", |_, _| vec![]),
    ("route.destination-prefix-list-id", |_, _| vec![]),
    ("route.egress-only-internet-gateway-id", |_, _| vec![]),
    ("route.gateway-id", |state, table| {
        each(table.shown(state), |r| r.gateway_id.clone())
    }),
    ("route.instance-id", |state, table| {
        each(table.shown(state), |r| {
            r.instance_id.map(|id| id.to_string())
        })
    }),
    ("route.nat-gateway-id", |_, _| vec![]),
    ("route.network-interface-id", |state, table| {
        each(table.shown(state), |r| {
            r.network_interface_id.map(|id| id.to_string())
        })
    }),
    ("route.origin", |state, table| {
        each(table.shown(state), |r| Some(r.origin.to_owned()))
    }),
    ("route.state", |state, table| {
        each(table.shown(state), |r| Some(r.state.to_owned()))
    }),
    ("route.transit-gateway-id", |_, _| vec![]),
    ("route.vpc-peering-connection-id", |_, _| vec![]),
    ("vpc-id", |_, table| vec![table.vpc.to_string()]),
];

pub(crate) fn describe_route_tables(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRouteTablesRequest,
) -> Result<DescribeRouteTablesReply, ApiError> {
    let query = Query {
        ids: req.route_table_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    // The bounds of this action's own MaxResults.
    let page = resource::describe::<RouteTable>(tx, ctx, &query, FILTERS, &(5..=100))?;
    Ok(DescribeRouteTablesReply {
        route_tables: page
            .items
            .into_iter()
            .map(|table| table.reply(tx.state()))
            .collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRouteTableRequest {
    route_table_id: String,
}

pub(crate) fn delete_route_table(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteRouteTableRequest,
) -> Result<(), ApiError> {
    let table = resource::find::<RouteTable>(tx, ctx, &req.route_table_id)?;
    let id = table.id;
    if table.is_main(tx.state()) || table.subnets(tx.state()).next().is_some() {
        return Err(resource::in_use("routeTable", &id));
    }
    tx.remove::<RouteTable>(&id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn a_repeated_token_makes_one_table() {
        let mut world = World::new();
        let reply = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        let input = json!({"VpcId": text(&reply, "Vpc.VpcId"), "ClientToken": "t"});
        let first = world.ok("CreateRouteTable", input.clone());
        let again = world.ok("CreateRouteTable", input);
        let id = |reply| text(reply, "RouteTable.RouteTableId");
        assert_eq!(id(&first), id(&again));
    }
}
