//! CPU credits of burstable instances.

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::InstanceId;

use crate::dispatch::actions;
use crate::filter::{Field, Filter};
use crate::instance::{Instance, InstanceState};
use crate::instance_metadata_options::account;
use crate::instance_options::invalid;
use crate::instance_options_change::to_change;
use crate::page::USUAL_BOUNDS;
use crate::resource::{self, Query};
use crate::{Context, Tx, instance_type};

actions! {
    "DescribeInstanceCreditSpecifications" => describe_instance_credit_specifications, Control;
    "GetDefaultCreditSpecification" => get_default_credit_specification, Control;
    "ModifyDefaultCreditSpecification" => modify_default_credit_specification, Recorded;
    "ModifyInstanceCreditSpecification" => modify_instance_credit_specification, Recorded;
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreditsRequest {
    pub(crate) cpu_credits: String,
}

/// The credits that a request chooses, of an instance of that type.
///
/// # Errors
/// `InstanceCreditSpecification.NotSupported` for a type that is not burstable, `InvalidParameterValue`.
pub(crate) fn checked_credits(instance_type: &str, credits: String) -> Result<String, ApiError> {
    if !instance_type::is_burstable(instance_type) {
        return Err(ApiError::new(
            "InstanceCreditSpecification.NotSupported",
            format!("The instance type '{instance_type}' does not support CPU credits."),
        ));
    }
    if matches!(credits.as_str(), "standard" | "unlimited") {
        Ok(credits)
    } else {
        Err(invalid("CpuCredits", &credits))
    }
}

/// `ModifyInstanceCreditSpecification`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceCreditSpecificationRequest {
    /// Setting credits to the same value twice is one effect.
    #[serde(rename = "ClientToken")]
    _client_token: Option<String>,
    instance_credit_specifications: Vec<CreditSpecification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreditSpecification {
    instance_id: String,
    cpu_credits: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInstanceCreditSpecificationReply {
    successful_instance_credit_specifications: Vec<Successful>,
    unsuccessful_instance_credit_specifications: Vec<Unsuccessful>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Successful {
    instance_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unsuccessful {
    instance_id: String,
    error: UnsuccessfulError,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UnsuccessfulError {
    code: String,
    message: String,
}

/// Sets the credits of each instance that it can, and tells of the others why not.
pub(crate) fn modify_instance_credit_specification(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyInstanceCreditSpecificationRequest,
) -> Result<ModifyInstanceCreditSpecificationReply, ApiError> {
    if req.instance_credit_specifications.is_empty() {
        return Err(resource::missing("InstanceCreditSpecification"));
    }
    let mut reply = ModifyInstanceCreditSpecificationReply {
        successful_instance_credit_specifications: Vec::new(),
        unsuccessful_instance_credit_specifications: Vec::new(),
    };
    for wanted in req.instance_credit_specifications {
        let credits = wanted
            .cpu_credits
            .ok_or_else(|| resource::missing("CpuCredits"))?;
        if !matches!(credits.as_str(), "standard" | "unlimited") {
            return Err(invalid("CpuCredits", &credits));
        }
        let changed = to_change(tx, ctx, &wanted.instance_id).and_then(|mut instance| {
            instance.options.credits = Some(checked_credits(&instance.instance_type, credits)?);
            Ok(instance)
        });
        match changed {
            Ok(instance) => {
                tx.put(instance);
                reply
                    .successful_instance_credit_specifications
                    .push(Successful {
                        instance_id: wanted.instance_id,
                    });
            }
            Err(error) => reply
                .unsuccessful_instance_credit_specifications
                .push(Unsuccessful {
                    instance_id: wanted.instance_id,
                    error: UnsuccessfulError {
                        code: error.code.into_owned(),
                        message: error.message,
                    },
                }),
        }
    }
    Ok(reply)
}

/// `DescribeInstanceCreditSpecifications`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeInstanceCreditSpecificationsRequest {
    instance_ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstanceCreditSpecificationsReply {
    instance_credit_specifications: Vec<CreditItem>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreditItem {
    instance_id: InstanceId,
    cpu_credits: String,
}

/// The credits of burstable instances: without ids EC2 tells only of those that have the `unlimited` option.
pub(crate) fn describe_instance_credit_specifications(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeInstanceCreditSpecificationsRequest,
) -> Result<DescribeInstanceCreditSpecificationsReply, ApiError> {
    const FILTERS: &[Field<Instance>] = &[("instance-id", |_, i| vec![i.id.to_string()])];
    let query = Query {
        ids: req.instance_ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: req.max_results,
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<Instance>(tx, ctx, &query, FILTERS, &USUAL_BOUNDS)?;
    let named = req.instance_ids.is_some_and(|ids| !ids.is_empty());
    let mut items = Vec::new();
    for instance in page.items {
        let Some(credits) = instance.credits() else {
            if named {
                return Err(ApiError::new(
                    "InstanceCreditSpecification.NotSupported",
                    format!(
                        "The instance '{}' does not support CPU credits.",
                        instance.id
                    ),
                ));
            }
            continue;
        };
        let alive = instance.state != InstanceState::Terminated;
        if alive && (named || credits == "unlimited") {
            items.push(CreditItem {
                instance_id: instance.id,
                cpu_credits: credits.to_owned(),
            });
        }
    }
    Ok(DescribeInstanceCreditSpecificationsReply {
        instance_credit_specifications: items,
        next_token: page.next_token,
    })
}

/// The families that have CPU credits ("T2, T3, T3a, T4g and T8i").
const FAMILIES: [&str; 5] = ["t2", "t3", "t3a", "t4g", "t8i"];

/// The credits of instances of a family unless somebody chose: T2 came before there were unlimited ones.
fn usual(family: &str) -> &'static str {
    if family == "t2" {
        "standard"
    } else {
        "unlimited"
    }
}

fn family(instance_type: &str) -> &str {
    instance_type.split('.').next().unwrap_or(instance_type)
}

/// The credits of a new instance of that type that chooses none: the account's, if it chose for the family.
pub(crate) fn of_account(tx: &Tx, ctx: &Context<'_>, instance_type: &str) -> Option<String> {
    account(tx, ctx)?
        .credit_defaults
        .get(family(instance_type))
        .cloned()
}

impl Instance {
    /// The credits of an instance of a burstable type: what the client or the account chose, else the usual ones.
    pub(crate) fn credits(&self) -> Option<&str> {
        if !instance_type::is_burstable(&self.instance_type) {
            return None;
        }
        let usual = usual(family(&self.instance_type));
        Some(self.options.credits.as_deref().unwrap_or(usual))
    }
}

/// `GetDefaultCreditSpecification`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetDefaultCreditSpecificationRequest {
    instance_family: String,
}

/// `ModifyDefaultCreditSpecification`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyDefaultCreditSpecificationRequest {
    instance_family: String,
    cpu_credits: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DefaultCreditSpecificationReply {
    instance_family_credit_specification: FamilyCredits,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FamilyCredits {
    instance_family: String,
    cpu_credits: String,
}

fn check_family(family: &str) -> Result<(), ApiError> {
    if FAMILIES.contains(&family) {
        Ok(())
    } else {
        Err(invalid("InstanceFamily", &family))
    }
}

fn family_reply(family: String, credits: Option<&String>) -> DefaultCreditSpecificationReply {
    DefaultCreditSpecificationReply {
        instance_family_credit_specification: FamilyCredits {
            cpu_credits: credits.map_or_else(|| usual(&family).to_owned(), Clone::clone),
            instance_family: family,
        },
    }
}

pub(crate) fn get_default_credit_specification(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: GetDefaultCreditSpecificationRequest,
) -> Result<DefaultCreditSpecificationReply, ApiError> {
    check_family(&req.instance_family)?;
    let chosen = account(tx, ctx)
        .and_then(|account| account.credit_defaults.get(&req.instance_family).cloned());
    Ok(family_reply(req.instance_family, chosen.as_ref()))
}

/// Sets what new instances of a family have that choose nothing.
pub(crate) fn modify_default_credit_specification(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyDefaultCreditSpecificationRequest,
) -> Result<DefaultCreditSpecificationReply, ApiError> {
    check_family(&req.instance_family)?;
    if !matches!(req.cpu_credits.as_str(), "standard" | "unlimited") {
        return Err(invalid("CpuCredits", &req.cpu_credits));
    }
    let mut account = account(tx, ctx).ok_or_else(|| ApiError::internal("no account"))?;
    account
        .credit_defaults
        .insert(req.instance_family.clone(), req.cpu_credits.clone());
    tx.put(account);
    Ok(family_reply(req.instance_family, Some(&req.cpu_credits)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{World, text};

    #[test]
    fn the_accounts_defaults_of_credits() {
        let mut world = World::new();
        let of = |family: &str| json!({"InstanceFamily": family});
        let path = "InstanceFamilyCreditSpecification.CpuCredits";
        let get = "GetDefaultCreditSpecification";
        assert_eq!(text(&world.ok(get, of("t2")), path), "standard");
        assert_eq!(text(&world.ok(get, of("t3")), path), "unlimited");
        let modify = "ModifyDefaultCreditSpecification";
        let set = |family: &str, to: &str| json!({"InstanceFamily": family, "CpuCredits": to});
        world.ok(modify, set("t3", "standard"));
        assert_eq!(text(&world.ok(get, of("t3")), path), "standard");
        let launch = json!({"ImageId": "ami-12345678", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1});
        let made = world.ok("RunInstances", launch);
        let id = text(&made, "Instances.0.InstanceId");
        // What is there stays as it is.
        world.ok(modify, set("t3", "unlimited"));
        let shown = world.ok(
            "DescribeInstanceCreditSpecifications",
            json!({"InstanceIds": [id]}),
        );
        let path = "InstanceCreditSpecifications.0.CpuCredits";
        assert_eq!(text(&shown, path), "standard");
        assert_eq!(world.err(modify, set("t3", "x")), "InvalidParameterValue");
        assert_eq!(world.err(get, of("m5")), "InvalidParameterValue");
    }
}
