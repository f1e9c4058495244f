"""What the services of compose.yaml need at their first start: two buckets, and a user of MLflow for jobs.

It may run any number of times: what is there stays as it is.
"""

import configparser
import os
from pathlib import Path

import boto3
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client

SECRETS = Path(os.environ.get("SECRETS", "/run/secrets"))
BUCKETS = ("tickets", "mlflow")


def make_buckets() -> None:
    """By the object store's administrator, whom AWS_SHARED_CREDENTIALS_FILE names."""
    objects = boto3.client("s3")
    there = {bucket["Name"] for bucket in objects.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in there:
            objects.create_bucket(Bucket=name)
        print(f"bucket {name}: {'is there' if name in there else 'made'}")


def make_user() -> None:
    """The user that the jobs' file of credentials names: they log, and need not be MLflow's administrator for that."""
    jobs = configparser.ConfigParser()
    jobs.read(SECRETS / "mlflow-credentials")
    user, password = (jobs["mlflow"][f"mlflow_tracking_{what}"] for what in ("username", "password"))
    os.environ["MLFLOW_TRACKING_USERNAME"] = "admin"
    os.environ["MLFLOW_TRACKING_PASSWORD"] = (SECRETS / "mlflow-admin-password").read_text().strip()
    try:
        get_app_client("basic-auth", os.environ["MLFLOW_TRACKING_URI"]).create_user(user, password)
        print(f"user {user} of MLflow: made")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        print(f"user {user} of MLflow: is there")


if __name__ == "__main__":
    make_buckets()
    make_user()
