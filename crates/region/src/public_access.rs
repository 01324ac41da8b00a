//! VPC block public access: what an account lets pass through internet gateways in a region.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, RegionName};

use crate::account::{Account, AccountKey};
use crate::dispatch::actions;
use crate::life::settled;
use crate::public_access_exclusion::{self, Exempt};
use crate::resource;
use crate::{Context, State, Subnet, Timestamp, Tx};

actions! {
    "DescribeVpcBlockPublicAccessOptions" => describe_vpc_block_public_access_options, Control;
    "ModifyVpcBlockPublicAccessOptions" => modify_vpc_block_public_access_options, Enforced;
}

/// What an account said last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockPublicAccess {
    /// What is blocked.
    pub mode: Mode,
    /// When it was said.
    pub updated: Timestamp,
    /// From when on its state is final. Packets obey at once.
    pub settled: Timestamp,
}

/// What block public access blocks, in all VPCs that are not excluded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Nothing.
    #[default]
    Off,
    /// All traffic of internet gateways and egress-only internet gateways.
    Bidirectional,
    /// The same, but for NAT gateways and egress-only internet gateways, through which flows begin inside only.
    Ingress,
}

impl Mode {
    /// EC2's word for it.
    const fn name(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Bidirectional => "block-bidirectional",
            Mode::Ingress => "block-ingress",
        }
    }

    fn of_request(text: &str) -> Result<Mode, ApiError> {
        [Mode::Off, Mode::Bidirectional, Mode::Ingress]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| resource::invalid_value(&text, "internetGatewayBlockMode"))
    }
}

/// What an account blocks in a region.
fn mode(state: &State, account: AccountId, region: &RegionName) -> Mode {
    let key = AccountKey {
        account,
        region: region.clone(),
    };
    let said = state.accounts.get(&key).and_then(|a| a.public_access);
    said.map(|said| said.mode).unwrap_or_default()
}

/// What is left of a subnet's way to the outside. An exclusion of the subnet counts before one of its VPC.
pub(crate) fn project(state: &State, subnet: &Subnet) -> topology::PublicAccess {
    let mode = mode(state, subnet.account, &subnet.region);
    let exempt = || {
        public_access_exclusion::of(state, subnet.id)
            .or_else(|| public_access_exclusion::of(state, subnet.vpc))
    };
    match mode {
        Mode::Off => topology::PublicAccess::Open,
        Mode::Ingress if exempt() == Some(Exempt::Bidirectional) => topology::PublicAccess::Open,
        // "allow-egress … only applies when VPC Block Public Access is set to Bidirectional."
        Mode::Ingress => topology::PublicAccess::EgressOnly,
        Mode::Bidirectional => match exempt() {
            None => topology::PublicAccess::Closed,
            Some(Exempt::Egress) => topology::PublicAccess::EgressOnly,
            Some(Exempt::Bidirectional) => topology::PublicAccess::Open,
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OptionsReply {
    vpc_block_public_access_options: Options,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Options {
    aws_account_id: AccountId,
    aws_region: RegionName,
    state: &'static str,
    internet_gateway_block_mode: &'static str,
    last_update_timestamp: Option<api::Timestamp>,
    managed_by: &'static str,
    exclusions_allowed: &'static str,
}

fn reply(ctx: &Context<'_>, said: Option<BlockPublicAccess>, is_new: bool) -> OptionsReply {
    let state = match said {
        None => "default-state",
        Some(said) if is_new || ctx.now < said.settled => "update-in-progress",
        Some(_) => "update-complete",
    };
    OptionsReply {
        vpc_block_public_access_options: Options {
            aws_account_id: ctx.account,
            aws_region: ctx.region.clone(),
            state,
            internet_gateway_block_mode: said.map(|said| said.mode).unwrap_or_default().name(),
            last_update_timestamp: said.map(|said| api::Timestamp::from_millis(said.updated.0)),
            // There are no organizations, whose policies could say otherwise.
            managed_by: "account",
            exclusions_allowed: "allowed",
        },
    }
}

/// `DescribeVpcBlockPublicAccessOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeOptionsRequest {}

pub(crate) fn describe_vpc_block_public_access_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    _: DescribeOptionsRequest,
) -> Result<OptionsReply, ApiError> {
    let said = own(tx, ctx).and_then(|account| account.public_access);
    Ok(reply(ctx, said, false))
}

fn own<'t>(tx: &'t Tx, ctx: &Context<'_>) -> Option<&'t Account> {
    tx.get::<Account>(&AccountKey {
        account: ctx.account,
        region: ctx.region.clone(),
    })
}

/// `ModifyVpcBlockPublicAccessOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyOptionsRequest {
    internet_gateway_block_mode: String,
}

/// Blocks or opens all VPCs of the account in the region.
pub(crate) fn modify_vpc_block_public_access_options(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyOptionsRequest,
) -> Result<OptionsReply, ApiError> {
    let said = BlockPublicAccess {
        mode: Mode::of_request(&req.internet_gateway_block_mode)?,
        updated: ctx.now,
        settled: settled(ctx),
    };
    if let Some(mut account) = own(tx, ctx).cloned() {
        account.public_access = Some(said);
        tx.put(account);
    }
    Ok(reply(ctx, Some(said), true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, text};

    const MODIFY: &str = "ModifyVpcBlockPublicAccessOptions";

    fn options(world: &mut World, member: &str) -> String {
        let shown = world.ok("DescribeVpcBlockPublicAccessOptions", json!({}));
        text(&shown, &format!("VpcBlockPublicAccessOptions.{member}"))
    }

    #[test]
    fn an_account_blocks_and_opens() {
        let mut world = World::new();
        world.settle = 1000;
        assert_eq!(options(&mut world, "State"), "default-state");
        assert_eq!(options(&mut world, "InternetGatewayBlockMode"), "off");
        assert_eq!(options(&mut world, "ExclusionsAllowed"), "allowed");
        let set = |mode: &str| json!({"InternetGatewayBlockMode": mode});
        let done = world.ok(MODIFY, set("block-bidirectional"));
        let at = |member: &str| text(&done, &format!("VpcBlockPublicAccessOptions.{member}"));
        assert_eq!(at("State"), "update-in-progress");
        assert_eq!(at("InternetGatewayBlockMode"), "block-bidirectional");
        assert_eq!(options(&mut world, "State"), "update-in-progress");
        world.now.0 += 1000;
        assert_eq!(options(&mut world, "State"), "update-complete");
        assert_eq!(world.err(MODIFY, set("on")), "InvalidParameterValue");
        // It is the account's, in the region.
        world.region = "eu-west-1";
        assert_eq!(options(&mut world, "InternetGatewayBlockMode"), "off");
        world.region = "us-east-1";
        world.account = account("444455556666");
        assert_eq!(options(&mut world, "InternetGatewayBlockMode"), "off");
    }

    #[test]
    fn hosts_are_told_of_every_subnet() {
        let mut world = World::new();
        world.ok("DescribeVpcs", json!({}));
        let other = {
            world.account = account("444455556666");
            world.ok("DescribeVpcs", json!({}));
            world.account
        };
        world.account = account("111122223333");
        for (mode, expected) in [
            ("block-bidirectional", topology::PublicAccess::Closed),
            ("block-ingress", topology::PublicAccess::EgressOnly),
            ("off", topology::PublicAccess::Open),
        ] {
            let before = world.state.clone();
            let done = world
                .execute(
                    MODIFY,
                    api::to_value(&json!({"InternetGatewayBlockMode": mode})).unwrap(),
                )
                .unwrap();
            world.state = done.state;
            let delta = crate::delta(&before, &world.state, &done.writes, 0, 1);
            assert_eq!(delta.changes.len(), 3, "{mode}");
            for change in &delta.changes {
                let topology::Change::Put(topology::Object::Subnet(subnet)) = change else {
                    panic!("{change:?}")
                };
                assert_eq!(subnet.public_access, expected);
                assert_ne!(world.state.subnets[&subnet.id].account, other);
            }
        }
    }
}
