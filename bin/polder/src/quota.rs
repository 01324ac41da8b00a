//! `polder quota`: what accounts may have at most.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use controller::accounts::{Outcome, SOCKET};
use controller::quotas::{Command, Quota};
use types::{AccountId, RegionName};

use crate::account::ask;
use crate::cli::StateDir;
use crate::failure::Failure;
use crate::output;

#[derive(Args)]
pub(crate) struct QuotaArgs {
    #[command(flatten)]
    state: StateDir,
    /// The region: quotas are each region's own.
    #[arg(
        long,
        global = true,
        value_name = "REGION",
        env = "AWS_DEFAULT_REGION",
        default_value = "us-east-1"
    )]
    region: RegionName,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: QuotaCommand,
}

#[derive(Subcommand)]
enum QuotaCommand {
    /// Show every quota of an account.
    List {
        /// The account's number.
        account: AccountId,
    },
    /// Give an account another number; what it has already stays.
    Set {
        /// The account's number.
        account: AccountId,
        /// The quota's code, of `polder quota list`: `L-F678F1CE`.
        code: String,
        /// What it may have at most, or `default`.
        #[arg(value_parser = value)]
        value: Value,
    },
}

/// A quota's number; none is the default.
#[derive(Clone, Copy)]
struct Value(Option<usize>);

fn value(text: &str) -> Result<Value, String> {
    if text == "default" {
        return Ok(Value(None));
    }
    text.parse()
        .map(|value| Value(Some(value)))
        .map_err(|_| "a number or `default` is expected".to_owned())
}

/// Carries out one command, by the server that runs on the state directory.
pub(crate) fn run(args: &QuotaArgs) -> anyhow::Result<ExitCode> {
    let region = args.region.clone();
    let command = match &args.command {
        QuotaCommand::List { account } => Command::ListQuotas {
            account: *account,
            region,
        },
        QuotaCommand::Set {
            account,
            code,
            value,
        } => Command::SetQuota {
            account: *account,
            region,
            code: code.clone(),
            value: value.0,
        },
    };
    let state_dir = args.state.path()?;
    let outcome = ask(&state_dir.join(SOCKET), &command)?.ok_or_else(|| {
        let hint = "start it, or name its directory with --state-dir";
        Failure::new(
            format!("no `polder up` runs on `{}`", state_dir.display()),
            hint,
        )
    })?;
    match outcome {
        Outcome::Quotas(list) if args.json => output::json(&list)?,
        Outcome::Quotas(list) => output::write(table(&list).as_bytes())?,
        Outcome::Refused(why) => {
            return Err(Failure::new(why, "`polder quota list` shows every quota").into());
        }
        Outcome::Key(_)
        | Outcome::Accounts(_)
        | Outcome::Keys(_)
        | Outcome::Users(_)
        | Outcome::Roles(_)
        | Outcome::Done => {
            if args.json {
                output::json(&serde_json::json!({}))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(list: &[Quota]) -> String {
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|quota| {
            let fixed = if quota.adjustable { "" } else { " (fixed)" };
            vec![
                quota.quota_code.clone(),
                format!("{}{fixed}", quota.value),
                quota.default_value.to_string(),
                quota.quota_name.clone(),
            ]
        })
        .collect();
    let head = ["code", "value", "default", "quota"];
    output::table(&head, &rows, output::colour())
}
