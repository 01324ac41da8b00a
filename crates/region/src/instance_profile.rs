//! IAM instance profiles of instances: opaque names, associated at launch or later, one for each instance.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{InstanceId, ProfileAssociationId};

use crate::dispatch::actions;
use crate::filter::{self, Filter};
use crate::instance::{self, Instance, InstanceState};
use crate::instance_options::invalid;
use crate::page::{self, USUAL_BOUNDS};
use crate::{Context, Timestamp, Tx, resource};

actions! {
    "AssociateIamInstanceProfile" => associate, Recorded;
    "DescribeIamInstanceProfileAssociations" => describe, Control;
    "DisassociateIamInstanceProfile" => disassociate, Recorded;
    "ReplaceIamInstanceProfileAssociation" => replace, Recorded;
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ProfileRequest {
    arn: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProfileReply {
    arn: String,
    id: String,
}

impl ProfileReply {
    /// Of a profile's ARN and id.
    pub(crate) fn new((arn, id): &(String, String)) -> ProfileReply {
        ProfileReply {
            arn: arn.clone(),
            id: id.clone(),
        }
    }
}

impl ProfileRequest {
    /// Profiles are opaque: every name is one, and so is every ARN of this form.
    pub(crate) fn read(self, ctx: &Context<'_>) -> Result<Option<(String, String)>, ApiError> {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let arn = match (self.arn, self.name) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(ApiError::new(
                    "InvalidParameterCombination",
                    "The parameter iamInstanceProfile.name may not be used in combination with iamInstanceProfile.arn",
                ));
            }
            (Some(arn), None) if arn.starts_with("arn:") && arn.contains(":instance-profile/") => {
                arn
            }
            (Some(arn), None) => return Err(invalid("iamInstanceProfile.arn", &arn)),
            (None, Some(name)) => {
                let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@-_".contains(&b);
                if !(1..=128).contains(&name.len()) || !name.bytes().all(is_plain) {
                    return Err(ApiError::new(
                        "InvalidParameterValue",
                        format!(
                            "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
                        ),
                    ));
                }
                format!("arn:aws:iam::{}:instance-profile/{name}", ctx.account)
            }
        };
        // The identifier is a function of the name, as it is where profiles are resources.
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for octet in arn.bytes() {
            hash =
                (hash ^ u128::from(octet)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
        let letter = |place: u32| {
            let index = usize::try_from(hash >> (place * 5) & 31).unwrap_or(0);
            LETTERS.get(index).map_or('A', |letter| char::from(*letter))
        };
        let id: String = "AIPA".chars().chain((0..17).map(letter)).collect();
        Ok(Some((arn, id)))
    }
}

impl Instance {
    /// The association with its profile, and since when it is there. The one of its launch has the instance's own
    /// digits.
    fn profile_association(&self) -> Option<(ProfileAssociationId, Timestamp)> {
        self.options.profile.as_ref()?;
        let of_launch = (
            ProfileAssociationId::from_bits(self.id.bits()),
            self.launched,
        );
        Some(self.options.profile_association.unwrap_or(of_launch))
    }

    /// The association that it is found by.
    pub(crate) fn profile_key(&self) -> Option<ProfileAssociationId> {
        if self.terminated.is_some() {
            return None;
        }
        self.profile_association().map(|(id, _)| id)
    }

    fn association_reply(&self, state: &'static str) -> Option<AssociationItem> {
        let (association_id, at) = self.profile_association()?;
        Some(AssociationItem {
            association_id,
            instance_id: self.id,
            iam_instance_profile: ProfileReply::new(self.options.profile.as_ref()?),
            state,
            timestamp: api::Timestamp::from_millis(at.0),
        })
    }
}

/// The client's instance with the association of that id.
///
/// # Errors
/// `NoSuchAssociation`.
fn with_association<'t>(tx: &'t Tx, ctx: &Context<'_>, id: &str) -> Result<&'t Instance, ApiError> {
    let known = id.parse::<ProfileAssociationId>().ok();
    known
        .and_then(|id| {
            let mut instances = tx.of::<Instance>(id);
            instances.find(|instance| {
                instance.profile_key() == Some(id) && resource::is_visible(ctx, *instance)
            })
        })
        .ok_or_else(|| {
            ApiError::new(
                "NoSuchAssociation",
                format!("An invalid association-id of '{id}' was given"),
            )
        })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssociationReply {
    iam_instance_profile_association: Option<AssociationItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationItem {
    association_id: ProfileAssociationId,
    instance_id: InstanceId,
    iam_instance_profile: ProfileReply,
    state: &'static str,
    timestamp: api::Timestamp,
}

/// `AssociateIamInstanceProfile`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateRequest {
    iam_instance_profile: ProfileRequest,
    instance_id: String,
}

/// Gives an instance that has no profile one. "A running or stopped instance".
pub(crate) fn associate(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: AssociateRequest,
) -> Result<AssociationReply, ApiError> {
    let mut instance = instance::find(tx, ctx, &req.instance_id)?.clone();
    if !matches!(
        instance.state,
        InstanceState::Running | InstanceState::Stopped
    ) {
        return Err(ApiError::new(
            "IncorrectInstanceState",
            format!(
                "The instance '{}' is not in the 'running' or 'stopped' states.",
                instance.id
            ),
        ));
    }
    if instance.options.profile.is_some() {
        return Err(ApiError::new(
            "IncorrectState",
            format!(
                "There is an existing association for instance {}",
                instance.id
            ),
        ));
    }
    set(ctx, &mut instance, req.iam_instance_profile)?;
    // EC2 answers before it is done.
    let reply = instance.association_reply("associating");
    tx.put(instance);
    Ok(AssociationReply {
        iam_instance_profile_association: reply,
    })
}

fn set(
    ctx: &Context<'_>,
    instance: &mut Instance,
    profile: ProfileRequest,
) -> Result<(), ApiError> {
    let profile = profile
        .read(ctx)?
        .ok_or_else(|| resource::missing("IamInstanceProfile"))?;
    instance.options.profile = Some(profile);
    let id = ProfileAssociationId::from_bits(ctx.random());
    instance.options.profile_association = Some((id, ctx.now));
    Ok(())
}

/// `DisassociateIamInstanceProfile`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisassociateRequest {
    association_id: String,
}

pub(crate) fn disassociate(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DisassociateRequest,
) -> Result<AssociationReply, ApiError> {
    let mut instance = with_association(tx, ctx, &req.association_id)?.clone();
    let reply = instance.association_reply("disassociating");
    instance.options.profile = None;
    instance.options.profile_association = None;
    tx.put(instance);
    Ok(AssociationReply {
        iam_instance_profile_association: reply,
    })
}

/// `ReplaceIamInstanceProfileAssociation`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReplaceRequest {
    iam_instance_profile: ProfileRequest,
    association_id: String,
}

/// Gives an instance another profile, by a new association.
pub(crate) fn replace(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ReplaceRequest,
) -> Result<AssociationReply, ApiError> {
    let mut instance = with_association(tx, ctx, &req.association_id)?.clone();
    set(ctx, &mut instance, req.iam_instance_profile)?;
    let reply = instance.association_reply("associating");
    tx.put(instance);
    Ok(AssociationReply {
        iam_instance_profile_association: reply,
    })
}

/// `DescribeIamInstanceProfileAssociations`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeRequest {
    association_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeReply {
    iam_instance_profile_associations: Vec<AssociationItem>,
    next_token: Option<String>,
}

/// Lists the associations of the client's instances, by association.
pub(crate) fn describe(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeRequest,
) -> Result<DescribeReply, ApiError> {
    let filters = req.filters.unwrap_or_default();
    filter::check_plain(&filters, &["instance-id", "state"])?;
    let ids = req.association_ids.unwrap_or_default();
    if !ids.is_empty() && req.max_results.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "The parameter AssociationIds cannot be used with the parameter MaxResults",
        ));
    }
    let mut instances = Vec::new();
    if ids.is_empty() {
        instances.extend(resource::own::<Instance>(tx, ctx));
    }
    for id in &ids {
        instances.push(with_association(tx, ctx, id)?);
    }
    let mut items: Vec<AssociationItem> = instances
        .into_iter()
        .filter(|instance| instance.profile_key().is_some())
        .filter_map(|instance| instance.association_reply("associated"))
        .filter(|item| {
            let instance = item.instance_id.to_string();
            let values = [("instance-id", instance.as_str()), ("state", item.state)];
            filter::matches_plain(&filters, &values)
        })
        .collect();
    items.sort_by_key(|item| item.association_id);
    items.dedup_by_key(|item| item.association_id);
    let page = page::cut(
        items.into_iter(),
        |item| item.association_id.to_string(),
        &USUAL_BOUNDS,
        req.max_results,
        req.next_token.as_deref(),
    )?;
    Ok(DescribeReply {
        iam_instance_profile_associations: page.items,
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, account, count, text};

    const ITEM: &str = "IamInstanceProfileAssociation";

    #[test]
    fn a_profile_comes_changes_and_goes() {
        let mut world = World::new();
        let launch = json!({"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1});
        let mut profiled = launch.clone();
        profiled["IamInstanceProfile"] = json!({"Name": "launched"});
        let made = world.ok("RunInstances", profiled);
        let first = text(&made, "Instances.0.InstanceId");
        let made = world.ok("RunInstances", launch);
        let second = text(&made, "Instances.0.InstanceId");
        let associate =
            |instance: &str| json!({"InstanceId": instance, "IamInstanceProfile": {"Name": "p"}});
        assert_eq!(
            world.err("AssociateIamInstanceProfile", associate(&first)),
            "IncorrectState"
        );
        let made = world.ok("AssociateIamInstanceProfile", associate(&second));
        assert_eq!(text(&made, &format!("{ITEM}.State")), "associating");
        let id = text(&made, &format!("{ITEM}.AssociationId"));
        let all = "DescribeIamInstanceProfileAssociations";
        let list = "IamInstanceProfileAssociations";
        assert_eq!(count(&world.ok(all, json!({})), list), 2);
        let of_first = json!({"Filters": [{"Name": "instance-id", "Values": [first]}]});
        let shown = world.ok(all, of_first);
        assert_eq!(text(&shown, &format!("{list}.0.State")), "associated");
        let launched = text(&shown, &format!("{list}.0.AssociationId"));
        let replace = json!({"AssociationId": launched, "IamInstanceProfile": {"Name": "q"}});
        let made = world.ok("ReplaceIamInstanceProfileAssociation", replace.clone());
        assert_ne!(text(&made, &format!("{ITEM}.AssociationId")), launched);
        assert_eq!(
            world.err("ReplaceIamInstanceProfileAssociation", replace),
            "NoSuchAssociation"
        );
        let shown = world.ok("DescribeInstances", json!({"InstanceIds": [first]}));
        assert_eq!(
            text(&shown, "Reservations.0.Instances.0.IamInstanceProfile.Arn"),
            "arn:aws:iam::111122223333:instance-profile/q"
        );
        let gone = json!({"AssociationId": id});
        world.account = account("444455556666");
        assert_eq!(
            world.err("DisassociateIamInstanceProfile", gone.clone()),
            "NoSuchAssociation"
        );
        world.account = account("111122223333");
        let done = world.ok("DisassociateIamInstanceProfile", gone.clone());
        assert_eq!(text(&done, &format!("{ITEM}.State")), "disassociating");
        assert_eq!(
            world.err("DisassociateIamInstanceProfile", gone),
            "NoSuchAssociation"
        );
        assert_eq!(
            world.err(all, json!({"AssociationIds": [id]})),
            "NoSuchAssociation"
        );
        assert_eq!(
            world.err(all, json!({"MaxResults": 4})),
            "InvalidParameterValue"
        );
        // A terminated instance has none.
        world.ok(
            "TerminateInstances",
            json!({"InstanceIds": [first, second]}),
        );
        assert_eq!(count(&world.ok(all, json!({})), list), 0);
        assert_eq!(
            world.err("AssociateIamInstanceProfile", associate(&second)),
            "IncorrectInstanceState"
        );
    }
}
