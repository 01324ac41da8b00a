//! Which VPCs have a hosted zone: associations, and authorizations of those that cross accounts.

use std::collections::BTreeMap;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, RegionName, VpcId};

use crate::dispatch::actions;
use crate::dns_name::DnsName;
use crate::hosted_zone::{self, ChangeReply, HostedZone, HostedZoneId, MAX_ZONES, invalid_input};
use crate::{Context, Record, Tx, Vpc, page, quota, zone_change};

actions! {
    "AssociateVPCWithHostedZone" => associate_vpc_with_hosted_zone, Recorded;
    "CreateVPCAssociationAuthorization" => create_vpc_association_authorization, Control;
    "DeleteVPCAssociationAuthorization" => delete_vpc_association_authorization, Control;
    "DisassociateVPCFromHostedZone" => disassociate_vpc_from_hosted_zone, Recorded;
    "ListHostedZonesByVPC" => list_hosted_zones_by_vpc, Control;
    "ListVPCAssociationAuthorizations" => list_vpc_association_authorizations, Control;
}

/// A VPC in requests and replies.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VpcItem {
    #[serde(rename = "VPCRegion")]
    region: Option<String>,
    #[serde(rename = "VPCId")]
    id: Option<String>,
}

pub(crate) fn items(vpcs: &BTreeMap<VpcId, RegionName>) -> Vec<VpcItem> {
    vpcs.iter().map(|(id, region)| item(*id, region)).collect()
}

fn item(id: VpcId, region: &RegionName) -> VpcItem {
    VpcItem {
        region: Some(region.to_string()),
        id: Some(id.to_string()),
    }
}

impl VpcItem {
    fn not_found(&self) -> ApiError {
        ApiError::new(
            "InvalidVPCId",
            format!(
                "The VPC: {} in region {} does not exist.",
                self.id(),
                self.region()
            ),
        )
    }

    fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    fn region(&self) -> &str {
        self.region.as_deref().unwrap_or_default()
    }

    /// Id and region, whether or not there is such a VPC.
    fn read(&self) -> Result<(VpcId, RegionName), ApiError> {
        if self.id.is_none() || self.region.is_none() {
            return Err(invalid_input("VPCId and VPCRegion must be specified"));
        }
        let id = self.id().parse().map_err(|_| self.not_found())?;
        let region = self.region().parse().map_err(|_| self.not_found())?;
        Ok((id, region))
    }

    /// The VPC, whoever's it is.
    fn find<'t>(&self, tx: &'t Tx) -> Result<&'t Vpc, ApiError> {
        let (id, region) = self.read()?;
        tx.get::<Vpc>(&id)
            .filter(|vpc| vpc.region == region)
            .ok_or_else(|| self.not_found())
    }
}

/// A VPC of the client's.
///
/// # Errors
/// `InvalidVPCId`, also for another account's.
pub(crate) fn of_client(
    tx: &Tx,
    ctx: &Context<'_>,
    item: &VpcItem,
) -> Result<(VpcId, RegionName), ApiError> {
    let vpc = item.find(tx)?;
    if vpc.account != ctx.account {
        return Err(item.not_found());
    }
    Ok((vpc.id, vpc.region.clone()))
}

/// Refuses a second zone of the same name in a VPC.
///
/// # Errors
/// `ConflictingDomainExists`.
pub(crate) fn check_conflict(
    tx: &Tx,
    name: &DnsName,
    vpc: VpcId,
    region: &RegionName,
) -> Result<(), ApiError> {
    let other = HostedZone::table(tx.state())
        .of(vpc)
        .find(|zone| zone.name == *name);
    other.map_or(Ok(()), |zone| {
        Err(ApiError::new(
            "ConflictingDomainExists",
            format!(
                "The VPC {vpc} in region {region} has already been associated with the hosted zone {} with the same \
                 domain name.",
                zone.id
            ),
        ))
    })
}

/// `AssociateVPCWithHostedZone` and `DisassociateVPCFromHostedZone`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociationRequest {
    hosted_zone_id: String,
    #[serde(rename = "VPC")]
    vpc: VpcItem,
    comment: Option<String>,
}

pub(crate) fn associate_vpc_with_hosted_zone(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociationRequest,
) -> Result<ChangeReply, ApiError> {
    let mut zone = hosted_zone::any(tx, &req.hosted_zone_id)?.clone();
    let vpc = req.vpc.find(tx)?;
    let (id, region) = (vpc.id, vpc.region.clone());
    let own_zone = zone.account == ctx.account;
    if vpc.account != ctx.account || !own_zone && !zone.authorized.contains_key(&id) {
        return Err(ApiError::new(
            "NotAuthorizedException",
            format!(
                "The VPC: {id} in region {region} that you provided is not authorized to make the association."
            ),
        ));
    }
    check_conflict(tx, &zone.name, id, &region)?;
    quota::VPCS_PER_ZONE.one_more(tx, ctx, zone.vpcs.len())?;
    zone.vpcs.insert(id, region);
    tx.put(zone);
    Ok(ChangeReply {
        change_info: zone_change::make(ctx, req.comment),
    })
}

pub(crate) fn disassociate_vpc_from_hosted_zone(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociationRequest,
) -> Result<ChangeReply, ApiError> {
    let mut zone = hosted_zone::any(tx, &req.hosted_zone_id)?.clone();
    let (id, region) = req.vpc.read()?;
    let own_vpc = tx
        .get::<Vpc>(&id)
        .is_some_and(|vpc| vpc.account == ctx.account);
    if zone.account != ctx.account && !own_vpc {
        return Err(hosted_zone::unknown(&req.hosted_zone_id));
    }
    if zone.vpcs.get(&id) != Some(&region) {
        return Err(ApiError::new(
            "VPCAssociationNotFound",
            format!(
                "The VPC: {id} is not currently associated with the hosted zone: {}",
                zone.id
            ),
        ));
    }
    if zone.vpcs.len() == 1 {
        return Err(ApiError::new(
            "LastVPCAssociation",
            format!(
                "The VPC: {id} cannot be disassociated: it is the last VPC of the hosted zone {}",
                zone.id
            ),
        ));
    }
    zone.vpcs.remove(&id);
    tx.put(zone);
    Ok(ChangeReply {
        change_info: zone_change::make(ctx, req.comment),
    })
}

/// `CreateVPCAssociationAuthorization` and `DeleteVPCAssociationAuthorization`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AuthorizationRequest {
    hosted_zone_id: String,
    #[serde(rename = "VPC")]
    vpc: VpcItem,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AuthorizationReply {
    hosted_zone_id: HostedZoneId,
    #[serde(rename = "VPC")]
    vpc: VpcItem,
}

pub(crate) fn create_vpc_association_authorization(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AuthorizationRequest,
) -> Result<AuthorizationReply, ApiError> {
    let mut zone = hosted_zone::find(tx, ctx, &req.hosted_zone_id)?;
    let vpc = req.vpc.find(tx)?;
    let (id, region) = (vpc.id, vpc.region.clone());
    // Repeating it changes nothing.
    zone.authorized.insert(id, region.clone());
    quota::ZONE_AUTHORIZATIONS.check(tx, ctx, zone.authorized.len())?;
    let reply = AuthorizationReply {
        hosted_zone_id: zone.id.clone(),
        vpc: item(id, &region),
    };
    tx.put(zone);
    Ok(reply)
}

pub(crate) fn delete_vpc_association_authorization(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AuthorizationRequest,
) -> Result<(), ApiError> {
    let mut zone = hosted_zone::find(tx, ctx, &req.hosted_zone_id)?;
    let (id, region) = req.vpc.read()?;
    if zone.authorized.get(&id) != Some(&region) {
        return Err(ApiError::new(
            "VPCAssociationAuthorizationNotFound",
            format!(
                "The VPC: {id} in region {region} is not authorized for the hosted zone: {}",
                zone.id
            ),
        ));
    }
    zone.authorized.remove(&id);
    tx.put(zone);
    Ok(())
}

/// The most VPCs of a page.
const MAX_AUTHORIZATIONS: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListAuthorizationsRequest {
    hosted_zone_id: String,
    next_token: Option<String>,
    max_results: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListAuthorizationsReply {
    hosted_zone_id: HostedZoneId,
    next_token: Option<String>,
    #[serde(rename = "VPCs")]
    vpcs: Vec<VpcItem>,
}

pub(crate) fn list_vpc_association_authorizations(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListAuthorizationsRequest,
) -> Result<ListAuthorizationsReply, ApiError> {
    let zone = hosted_zone::find(tx, ctx, &req.hosted_zone_id)?;
    let most = hosted_zone::max_items(req.max_results.as_deref(), MAX_AUTHORIZATIONS)?;
    let page = cut(
        zone.authorized.iter(),
        |(id, _)| id.to_string(),
        most,
        req.next_token.as_deref(),
    )?;
    Ok(ListAuthorizationsReply {
        hosted_zone_id: zone.id.clone(),
        next_token: page.next_token,
        vpcs: page
            .items
            .into_iter()
            .map(|(id, region)| item(*id, region))
            .collect(),
    })
}

/// A page of at most so many.
fn cut<T>(
    all: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
    most: usize,
    token: Option<&str>,
) -> Result<page::Page<T>, ApiError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    page::cut(all, key, &(1..=most), Some(most), token)
        .map_err(|error| ApiError::new("InvalidPaginationToken", error.message))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListByVpcRequest {
    #[serde(rename = "VPCId")]
    vpc_id: String,
    #[serde(rename = "VPCRegion")]
    vpc_region: String,
    max_items: Option<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListByVpcReply {
    hosted_zone_summaries: Vec<Summary>,
    max_items: String,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    hosted_zone_id: HostedZoneId,
    name: DnsName,
    owner: Owner,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Owner {
    owning_account: AccountId,
}

pub(crate) fn list_hosted_zones_by_vpc(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ListByVpcRequest,
) -> Result<ListByVpcReply, ApiError> {
    let item = VpcItem {
        region: Some(req.vpc_region),
        id: Some(req.vpc_id),
    };
    let vpc = item.find(tx).ok().filter(|vpc| vpc.account == ctx.account);
    let vpc = vpc.ok_or_else(|| {
        let (id, region) = (item.id(), item.region());
        invalid_input(format!(
            "The VPC: {id} in region {region} is not one of yours."
        ))
    })?;
    let most = hosted_zone::max_items(req.max_items.as_deref(), MAX_ZONES)?;
    let zones = HostedZone::table(tx.state()).of(vpc.id);
    let page = cut(
        zones,
        |zone| zone.id.to_string(),
        most,
        req.next_token.as_deref(),
    )?;
    let summary = |zone: &HostedZone| Summary {
        hosted_zone_id: zone.id.clone(),
        name: zone.name.clone(),
        owner: Owner {
            owning_account: zone.account,
        },
    };
    Ok(ListByVpcReply {
        hosted_zone_summaries: page.items.into_iter().map(summary).collect(),
        max_items: most.to_string(),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{World, account, count, text};

    fn vpc(world: &mut World) -> Json {
        let vpc = world.ok("CreateVpc", json!({"CidrBlock": "10.0.0.0/16"}));
        json!({"VPCRegion": "us-east-1", "VPCId": text(&vpc, "Vpc.VpcId")})
    }

    fn zone(world: &mut World, name: &str, vpc: &Json) -> String {
        let request = json!({"Name": name, "CallerReference": name, "VPC": vpc});
        let reply = world.ok("CreateHostedZone", request);
        text(&reply, "HostedZone.Id").replace("/hostedzone/", "")
    }

    #[test]
    fn associations() {
        let mut world = World::new();
        let (one, two) = (vpc(&mut world), vpc(&mut world));
        let id = zone(&mut world, "corp.example", &one);
        let with = |vpc: &Json| json!({"HostedZoneId": id, "VPC": vpc});
        assert_eq!(
            world.err("DisassociateVPCFromHostedZone", with(&one)),
            "LastVPCAssociation"
        );
        assert_eq!(
            world.err("DisassociateVPCFromHostedZone", with(&two)),
            "VPCAssociationNotFound"
        );
        world.ok("AssociateVPCWithHostedZone", with(&two));
        assert_eq!(
            world.err("AssociateVPCWithHostedZone", with(&two)),
            "ConflictingDomainExists"
        );
        let list = json!({"VPCId": two["VPCId"], "VPCRegion": "us-east-1"});
        let reply = world.ok("ListHostedZonesByVPC", list.clone());
        assert_eq!(text(&reply, "HostedZoneSummaries.0.Name"), "corp.example.");
        assert_eq!(
            text(&reply, "HostedZoneSummaries.0.Owner.OwningAccount"),
            "111122223333"
        );
        world.ok("DisassociateVPCFromHostedZone", with(&one));
        let reply = world.ok("GetHostedZone", json!({"Id": id}));
        assert_eq!(count(&reply, "VPCs"), 1);
        let elsewhere = json!({"VPCId": two["VPCId"], "VPCRegion": "eu-west-1"});
        assert_eq!(world.err("ListHostedZonesByVPC", elsewhere), "InvalidInput");
        let mut strange = list;
        strange["NextToken"] = json!("!");
        assert_eq!(
            world.err("ListHostedZonesByVPC", strange),
            "InvalidPaginationToken"
        );
    }

    #[test]
    fn other_accounts_need_an_authorization() {
        let mut world = World::new();
        let mine = vpc(&mut world);
        let id = zone(&mut world, "corp.example", &mine);
        let owner = world.account;
        let guest = account("444455556666");
        world.account = guest;
        let theirs = vpc(&mut world);
        let with = json!({"HostedZoneId": id, "VPC": theirs});
        assert_eq!(
            world.err("AssociateVPCWithHostedZone", with.clone()),
            "NotAuthorizedException"
        );
        assert_eq!(
            world.err("CreateVPCAssociationAuthorization", with.clone()),
            "NoSuchHostedZone"
        );
        assert_eq!(
            world.err(
                "DisassociateVPCFromHostedZone",
                json!({"HostedZoneId": id, "VPC": mine})
            ),
            "NoSuchHostedZone"
        );
        world.account = owner;
        assert_eq!(
            world.err("AssociateVPCWithHostedZone", with.clone()),
            "NotAuthorizedException"
        );
        for _ in 0..2 {
            world.ok("CreateVPCAssociationAuthorization", with.clone());
        }
        let list = json!({"HostedZoneId": id});
        let reply = world.ok("ListVPCAssociationAuthorizations", list.clone());
        assert_eq!(text(&reply, "VPCs.0.VPCId"), theirs["VPCId"]);
        assert_eq!(count(&reply, "VPCs"), 1);
        world.account = guest;
        world.ok("AssociateVPCWithHostedZone", with.clone());
        world.account = owner;
        world.ok("DeleteVPCAssociationAuthorization", with.clone());
        assert_eq!(
            world.err("DeleteVPCAssociationAuthorization", with.clone()),
            "VPCAssociationAuthorizationNotFound"
        );
        assert_eq!(
            count(&world.ok("ListVPCAssociationAuthorizations", list), "VPCs"),
            0
        );
        world.account = guest;
        world.ok("DisassociateVPCFromHostedZone", with);
    }
}
