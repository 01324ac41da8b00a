//! Route tables: the tables and their routes. Associations are in [`crate::route_table_association`].

use std::collections::{BTreeMap, BTreeSet};

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, AssociationId, CarrierGatewayId, Cidr, EgressOnlyGatewayId, GatewayId, InstanceId,
    InterfaceId, NatGatewayId, ObjectId, PeeringConnectionId, PrefixListId, RegionName,
    RouteTableId, SubnetId, TransitGatewayId, VpcId, VpnGatewayId,
};

use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter, View};
use crate::resource::{self, Query, Resource, resource};
use crate::route_target::{Destination, RouteTarget};
use crate::tags::{Tag, TagSpecification, Tags};
use crate::{Context, State, Subnet, Tx, Vpc, prefix_list, quota, subnet};

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
    pub routes: BTreeMap<Destination, RouteTarget>,
    /// The other targets that clients gave to local routes, by the VPC's block. One that the VPC no longer has means
    /// nothing.
    #[serde(default)]
    pub local: BTreeMap<Cidr, RouteTarget>,
    /// The gateways whose arriving packets it is for, by association.
    #[serde(default)]
    pub gateways: BTreeMap<AssociationId, EdgeGateway>,
    /// The virtual private gateways that may add routes.
    #[serde(default)]
    pub propagating: BTreeSet<VpnGatewayId>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

/// A gateway whose arriving packets a table is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum EdgeGateway {
    /// An internet gateway.
    Internet(GatewayId),
    /// A virtual private gateway.
    Vpn(VpnGatewayId),
}

impl EdgeGateway {
    /// Which resource it is.
    pub(crate) fn object(self) -> ObjectId {
        match self {
            EdgeGateway::Internet(id) => id.into(),
            EdgeGateway::Vpn(id) => id.into(),
        }
    }
}

resource!(
    RouteTable,
    "route-table",
    |this, keys| {
        keys.of([this.vpc]);
        keys.of(this.routes.values().map(|target| target.object()));
        keys.of(this.routes.keys().filter_map(|to| to.prefix_list()));
        keys.of(this.local.values().map(|target| target.object()));
        keys.of(this.gateways.keys().copied());
        keys.of(this.gateways.values().map(|gateway| gateway.object()));
        keys.of(this.propagating.iter().copied());
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
        let local = vpc.all_blocks().map(|destination| topology::Route {
            destination,
            target: self
                .local
                .get(&destination)
                .map_or(topology::Target::Local, |target| target.project(state, vpc)),
        });
        let made = self.routes.iter().filter_map(|(destination, target)| {
            Some(topology::Route {
                destination: destination.cidr()?,
                target: target.project(state, vpc),
            })
        });
        let mut routes: Vec<topology::Route> = local.chain(made).collect();
        self.project_lists(state, vpc, &mut routes);
        Some(topology::RouteTable {
            id: self.id,
            vpc: self.vpc,
            routes,
        })
    }

    /// A prefix list is a route for each of its entries. Routes to the same block that clients spelled out come first,
    /// and nothing is more specific than a local route by way of a list (EC2 "Route priority and prefix lists").
    fn project_lists(&self, state: &State, vpc: &Vpc, routes: &mut Vec<topology::Route>) {
        let mut taken: BTreeSet<Cidr> = routes.iter().map(|route| route.destination).collect();
        for (destination, target) in &self.routes {
            let Some(id) = destination.prefix_list() else {
                continue;
            };
            let Some(list) = prefix_list::of_id(state, &self.region, self.account, id) else {
                continue;
            };
            let target = target.project(state, vpc);
            for destination in list.entries() {
                let is_local = vpc.all_blocks().any(|block| block.covers(destination));
                if !is_local && taken.insert(destination) {
                    routes.push(topology::Route {
                        destination,
                        target,
                    });
                }
            }
        }
    }

    /// Whether the VPC uses it for subnets without an association.
    pub(crate) fn is_main(&self, state: &State) -> bool {
        state
            .vpcs
            .get(&self.vpc)
            .is_some_and(|vpc| vpc.main_route_table == self.id)
    }

    /// Whether it is associated with this gateway.
    pub(crate) fn serves(&self, gateway: ObjectId) -> bool {
        self.gateways
            .values()
            .any(|other| other.object() == gateway)
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
        local: BTreeMap::new(),
        gateways: BTreeMap::new(),
        propagating: BTreeSet::new(),
        client_token,
    });
    id
}

/// Adds 0.0.0.0/0 to the gateway, as a default VPC's main table has it.
pub(crate) fn add_default_route(tx: &mut Tx, table: RouteTableId, gateway: GatewayId) {
    if let Some(mut table) = tx.get::<RouteTable>(&table).cloned() {
        table.routes.insert(
            Destination::Cidr(Cidr::ALL_V4),
            RouteTarget::Gateway(gateway),
        );
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
    propagating_vgws: Vec<PropagatingVgw>,
    route_table_id: RouteTableId,
    routes: Vec<RouteItem>,
    tags: Vec<Tag>,
    vpc_id: VpcId,
    owner_id: AccountId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PropagatingVgw {
    gateway_id: VpnGatewayId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    main: bool,
    route_table_association_id: AssociationId,
    route_table_id: RouteTableId,
    subnet_id: Option<SubnetId>,
    gateway_id: Option<ObjectId>,
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
    destination_cidr_block: Option<Cidr>,
    destination_ipv6_cidr_block: Option<Cidr>,
    destination_prefix_list_id: Option<PrefixListId>,
    carrier_gateway_id: Option<CarrierGatewayId>,
    egress_only_internet_gateway_id: Option<EgressOnlyGatewayId>,
    gateway_id: Option<String>,
    instance_id: Option<InstanceId>,
    instance_owner_id: Option<AccountId>,
    nat_gateway_id: Option<NatGatewayId>,
    network_interface_id: Option<InterfaceId>,
    transit_gateway_id: Option<TransitGatewayId>,
    vpc_peering_connection_id: Option<PeeringConnectionId>,
    origin: &'static str,
    state: &'static str,
}

impl RouteItem {
    fn new(destination: Destination, origin: &'static str) -> RouteItem {
        let cidr = destination.cidr();
        RouteItem {
            destination_cidr_block: cidr.filter(|cidr| cidr.is_v4()),
            destination_ipv6_cidr_block: cidr.filter(|cidr| !cidr.is_v4()),
            destination_prefix_list_id: destination.prefix_list(),
            origin,
            state: "active",
            ..RouteItem::default()
        }
    }

    fn leads(mut self, view: &View<'_>, vpc: &Vpc, target: RouteTarget) -> RouteItem {
        if !target.is_active(view, vpc) {
            self.state = "blackhole";
        }
        match target {
            RouteTarget::Gateway(id) => self.gateway_id = Some(id.to_string()),
            RouteTarget::VpnGateway(id) => self.gateway_id = Some(id.to_string()),
            // EC2 shows endpoints as gateways.
            RouteTarget::Endpoint(id) => self.gateway_id = Some(id.to_string()),
            RouteTarget::Interface(id) => {
                let interface = view.interfaces.get(&id);
                let instance = interface.and_then(|interface| interface.instance());
                self.network_interface_id = Some(id);
                self.instance_id = instance;
                self.instance_owner_id = interface
                    .filter(|_| instance.is_some())
                    .map(|interface| interface.account);
            }
            RouteTarget::Nat(id) => self.nat_gateway_id = Some(id),
            RouteTarget::EgressOnly(id) => self.egress_only_internet_gateway_id = Some(id),
            RouteTarget::Carrier(id) => self.carrier_gateway_id = Some(id),
            RouteTarget::Transit(id) => self.transit_gateway_id = Some(id),
            RouteTarget::Peering(id) => self.vpc_peering_connection_id = Some(id),
        }
        self
    }
}

impl RouteTable {
    /// Every route as EC2 shows it, the local ones first.
    fn shown(&self, view: &View<'_>) -> Vec<RouteItem> {
        let Some(vpc) = view.vpcs.get(&self.vpc) else {
            return Vec::new();
        };
        let local = vpc.all_blocks().map(|block| {
            let mut item = RouteItem::new(Destination::Cidr(block), "CreateRouteTable");
            match self.local.get(&block) {
                Some(target) => item.leads(view, vpc, *target),
                None => {
                    item.gateway_id = Some("local".to_owned());
                    item
                }
            }
        });
        let made = self.routes.iter().map(|(destination, target)| {
            RouteItem::new(*destination, "CreateRoute").leads(view, vpc, *target)
        });
        // A gateway endpoint is a route that no client made.
        let endpoints = crate::endpoint::gateways_of(view, self.id).map(|endpoint| {
            let list = crate::endpoint::known::prefix_list(&self.region, &endpoint.service);
            RouteItem::new(Destination::PrefixList(list), "CreateRoute").leads(
                view,
                vpc,
                RouteTarget::Endpoint(endpoint.id),
            )
        });
        local.chain(made).chain(endpoints).collect()
    }

    /// The main association, if it is the main table, then the explicit ones: of subnets, of gateways.
    fn associations(&self, state: &State) -> Vec<AssociationItem> {
        let item = |id| AssociationItem {
            main: false,
            route_table_association_id: id,
            route_table_id: self.id,
            subnet_id: None,
            gateway_id: None,
            association_state: ASSOCIATED,
        };
        let main = state
            .vpcs
            .get(&self.vpc)
            .filter(|vpc| vpc.main_route_table == self.id)
            .map(|vpc| AssociationItem {
                main: true,
                ..item(vpc.main_association)
            });
        let subnets = self.subnets(state).map(|(id, subnet)| AssociationItem {
            subnet_id: Some(subnet.id),
            ..item(id)
        });
        let gateways = self.gateways.iter().map(|(id, gateway)| AssociationItem {
            gateway_id: Some(gateway.object()),
            ..item(*id)
        });
        main.into_iter().chain(subnets).chain(gateways).collect()
    }

    fn reply(&self, view: &View<'_>) -> TableItem {
        TableItem {
            associations: self.associations(view),
            propagating_vgws: self
                .propagating
                .iter()
                .map(|id| PropagatingVgw { gateway_id: *id })
                .collect(),
            route_table_id: self.id,
            routes: self.shown(view),
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
        route_table: table.reply(&View::new(tx.state(), ctx)),
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

fn text<T: ToString>(value: &Option<T>) -> Option<String> {
    value.as_ref().map(T::to_string)
}

const FILTERS: &[Field<RouteTable>] = &[
    ("association.gateway-id", |view, table| {
        each(table.associations(view), |a| text(&a.gateway_id))
    }),
    ("association.main", |view, table| {
        let associations = table.associations(view);
        if associations.is_empty() {
            return vec!["false".to_owned()];
        }
        each(associations, |a| Some(a.main.to_string()))
    }),
    ("association.route-table-association-id", |view, table| {
        each(table.associations(view), |a| {
            Some(a.route_table_association_id.to_string())
        })
    }),
    ("association.route-table-id", |view, table| {
        each(table.associations(view), |a| {
            Some(a.route_table_id.to_string())
        })
    }),
    ("association.subnet-id", |view, table| {
        each(table.associations(view), |a| text(&a.subnet_id))
    }),
    ("owner-id", |_, table| vec![table.account.to_string()]),
    ("route-table-id", |_, table| vec![table.id.to_string()]),
    ("route.destination-cidr-block", |view, table| {
        each(table.shown(view), |r| text(&r.destination_cidr_block))
    }),
    ("route.destination-ipv6-cidr-block", |view, table| {
        each(table.shown(view), |r| text(&r.destination_ipv6_cidr_block))
    }),
    ("route.destination-prefix-list-id", |view, table| {
        each(table.shown(view), |r| text(&r.destination_prefix_list_id))
    }),
    ("route.egress-only-internet-gateway-id", |view, table| {
        each(table.shown(view), |r| {
            text(&r.egress_only_internet_gateway_id)
        })
    }),
    ("route.gateway-id", |view, table| {
        each(table.shown(view), |r| r.gateway_id.clone())
    }),
    ("route.instance-id", |view, table| {
        each(table.shown(view), |r| text(&r.instance_id))
    }),
    ("route.nat-gateway-id", |view, table| {
        each(table.shown(view), |r| text(&r.nat_gateway_id))
    }),
    ("route.network-interface-id", |view, table| {
        each(table.shown(view), |r| text(&r.network_interface_id))
    }),
    ("route.origin", |view, table| {
        each(table.shown(view), |r| Some(r.origin.to_owned()))
    }),
    ("route.state", |view, table| {
        each(table.shown(view), |r| Some(r.state.to_owned()))
    }),
    ("route.transit-gateway-id", |view, table| {
        each(table.shown(view), |r| text(&r.transit_gateway_id))
    }),
    ("route.vpc-peering-connection-id", |view, table| {
        each(table.shown(view), |r| text(&r.vpc_peering_connection_id))
    }),
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
    let view = View::new(tx.state(), ctx);
    Ok(DescribeRouteTablesReply {
        route_tables: page
            .items
            .into_iter()
            .map(|table| table.reply(&view))
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
    if table.is_main(tx.state())
        || table.subnets(tx.state()).next().is_some()
        || !table.gateways.is_empty()
    {
        return Err(resource::in_use("routeTable", &id));
    }
    crate::endpoint::forget_route_table(tx, id);
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
