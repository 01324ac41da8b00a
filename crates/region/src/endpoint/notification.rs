//! Notifications about endpoints. They are kept; nobody is told, as there is no SNS.

use std::collections::BTreeSet;

use api::ApiError;
use serde::{Deserialize, Serialize};
use types::{AccountId, EndpointId, EndpointNotificationId, EndpointServiceId, RegionName};

use super::service::EndpointService;
use super::{BOUNDS, Endpoint, at_most};
use crate::client_token::ClientToken;
use crate::dispatch::actions;
use crate::filter::{Field, Filter, View};
use crate::mortal::{self, Unsuccessful, UnsuccessfulReply, combination, invalid};
use crate::resource::{self, Query, resource};
use crate::tags::Tags;
use crate::{Context, Tx, quota};

actions! {
    "CreateVpcEndpointConnectionNotification" => create_notification, Control;
    "DeleteVpcEndpointConnectionNotifications" => delete_notifications, Control;
    "DescribeVpcEndpointConnectionNotifications" => describe_notifications, Control;
    "ModifyVpcEndpointConnectionNotification" => modify_notification, Control;
}

/// A notification.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndpointNotification {
    /// Its identifier.
    pub id: EndpointNotificationId,
    /// Its owner.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionName,
    /// Its tags: EC2 gives it none.
    pub tags: Tags,
    /// The service that it is about,
    pub service: Option<EndpointServiceId>,
    /// or the endpoint.
    pub endpoint: Option<EndpointId>,
    /// The ARN of the topic.
    pub topic: String,
    /// `Accept`, `Connect`, `Delete`, `Reject`. Never empty.
    pub events: BTreeSet<String>,
    /// The token of the request that made it.
    pub client_token: Option<ClientToken>,
}

resource!(
    EndpointNotification,
    "vpc-endpoint-connection-notification",
    |this, keys| {
        keys.of(this.service);
        keys.of(this.endpoint);
    },
    |id| ApiError::new(
        "InvalidConnectionNotification",
        format!("The connection notification '{id}' does not exist"),
    )
);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    connection_events: Vec<String>,
    connection_notification_arn: String,
    connection_notification_id: EndpointNotificationId,
    connection_notification_state: &'static str,
    connection_notification_type: &'static str,
    service_id: Option<EndpointServiceId>,
    service_region: RegionName,
    vpc_endpoint_id: Option<EndpointId>,
}

impl EndpointNotification {
    fn reply(&self, _: &View<'_>) -> Item {
        Item {
            connection_events: self.events.iter().cloned().collect(),
            connection_notification_arn: self.topic.clone(),
            connection_notification_id: self.id,
            connection_notification_state: "Enabled",
            connection_notification_type: "Topic",
            service_id: self.service,
            service_region: self.region.clone(),
            vpc_endpoint_id: self.endpoint,
        }
    }
}

fn topic(arn: String) -> Result<String, ApiError> {
    if mortal::is_arn(&arn, "sns") {
        Ok(arn)
    } else {
        Err(invalid(
            "connectionNotificationArn",
            arn,
            "Invalid ARN of an SNS topic.",
        ))
    }
}

fn events(given: Vec<String>) -> Result<BTreeSet<String>, ApiError> {
    if given.is_empty() {
        return Err(resource::missing("ConnectionEvents"));
    }
    for event in &given {
        if !["Accept", "Connect", "Delete", "Reject"].contains(&event.as_str()) {
            return Err(invalid("connectionEvents", event, "Unknown event."));
        }
    }
    Ok(given.into_iter().collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateNotificationRequest {
    service_id: Option<String>,
    vpc_endpoint_id: Option<String>,
    connection_notification_arn: String,
    connection_events: Vec<String>,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateNotificationReply {
    connection_notification: Item,
    client_token: Option<String>,
}

pub(crate) fn create_notification(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: CreateNotificationRequest,
) -> Result<CreateNotificationReply, ApiError> {
    let token = ClientToken::new(tx, req.client_token.clone())?;
    let earlier = resource::earlier(tx, ctx, token.as_ref(), |made: &EndpointNotification| {
        made.client_token.as_ref()
    })?;
    let id = match earlier {
        Some(id) => id,
        None => {
            let (mut service, mut endpoint) = (None, None);
            match (&req.service_id, &req.vpc_endpoint_id) {
                (Some(id), None) => {
                    service = Some(mortal::find::<EndpointService>(tx, ctx, id)?.id);
                }
                (None, Some(id)) => endpoint = Some(mortal::find::<Endpoint>(tx, ctx, id)?.id),
                (None, None) => return Err(resource::missing("ServiceId")),
                (Some(_), Some(_)) => {
                    return Err(combination(
                        "The parameter ServiceId cannot be used with the parameter VpcEndpointId",
                    ));
                }
            }
            let present = resource::own::<EndpointNotification>(tx, ctx).count();
            quota::ENDPOINT_NOTIFICATIONS.one_more(tx, ctx, present)?;
            let id = EndpointNotificationId::from_bits(ctx.random());
            tx.put(EndpointNotification {
                id,
                account: ctx.account,
                region: ctx.region.clone(),
                tags: Tags::default(),
                service,
                endpoint,
                topic: topic(req.connection_notification_arn)?,
                events: events(req.connection_events)?,
                client_token: token,
            });
            id
        }
    };
    let view = mortal::view(tx, ctx);
    Ok(CreateNotificationReply {
        connection_notification: resource::get::<EndpointNotification>(tx, &id)?.reply(&view),
        client_token: req.client_token,
    })
}

const FILTERS: &[Field<EndpointNotification>] = &[
    ("connection-notification-arn", |_, n| vec![n.topic.clone()]),
    ("connection-notification-id", |_, n| vec![n.id.to_string()]),
    ("connection-notification-state", |_, _| {
        vec!["Enabled".to_owned()]
    }),
    ("connection-notification-type", |_, _| {
        vec!["Topic".to_owned()]
    }),
    ("service-id", |_, n| {
        n.service.map(|id| id.to_string()).into_iter().collect()
    }),
    ("vpc-endpoint-id", |_, n| {
        n.endpoint.map(|id| id.to_string()).into_iter().collect()
    }),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeNotificationsRequest {
    connection_notification_id: Option<String>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeNotificationsReply {
    connection_notification_set: Vec<Item>,
    next_token: Option<String>,
}

pub(crate) fn describe_notifications(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DescribeNotificationsRequest,
) -> Result<DescribeNotificationsReply, ApiError> {
    let ids: Option<Vec<String>> = req.connection_notification_id.map(|id| vec![id]);
    let query = Query {
        ids: ids.as_deref(),
        filters: req.filters.as_deref(),
        max_results: at_most(req.max_results),
        next_token: req.next_token.as_deref(),
    };
    let page = resource::describe::<EndpointNotification>(tx, ctx, &query, FILTERS, &BOUNDS)?;
    let view = mortal::view(tx, ctx);
    Ok(DescribeNotificationsReply {
        connection_notification_set: page.items.into_iter().map(|n| n.reply(&view)).collect(),
        next_token: page.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyNotificationRequest {
    connection_notification_id: String,
    connection_notification_arn: Option<String>,
    connection_events: Option<Vec<String>>,
}

pub(crate) fn modify_notification(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: ModifyNotificationRequest,
) -> Result<super::service::ReturnValueReply, ApiError> {
    let id = &req.connection_notification_id;
    let mut notification = resource::find::<EndpointNotification>(tx, ctx, id)?.clone();
    if let Some(arn) = req.connection_notification_arn {
        notification.topic = topic(arn)?;
    }
    if let Some(given) = req.connection_events {
        notification.events = events(given)?;
    }
    tx.put(notification);
    Ok(super::service::DONE_VALUE)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteNotificationsRequest {
    connection_notification_ids: Vec<String>,
}

pub(crate) fn delete_notifications(
    tx: &mut Tx,
    ctx: &Context<'_>,
    req: DeleteNotificationsRequest,
) -> Result<UnsuccessfulReply, ApiError> {
    if req.connection_notification_ids.is_empty() {
        return Err(resource::missing("ConnectionNotificationId"));
    }
    let mut unsuccessful = Vec::new();
    for id in &req.connection_notification_ids {
        match resource::find::<EndpointNotification>(tx, ctx, id).map(|there| there.id) {
            Ok(id) => tx.remove::<EndpointNotification>(&id),
            Err(error) => unsuccessful.push(Unsuccessful::new(id, error)),
        }
    }
    Ok(UnsuccessfulReply { unsuccessful })
}
