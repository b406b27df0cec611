"""Calls S3 with the official client, as told on standard input; answers as JSON."""

import json
import sys

import boto3
import botocore.config
import botocore.exceptions

ask = json.load(sys.stdin)
answers = []
for call in ask["calls"]:
    client = boto3.client(
        "s3",
        endpoint_url=ask["endpoint"],
        region_name=call.get("region", "eu-central-1"),
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
        ),
    )

    def carry(request, token=call.get("token"), **_):
        # After the signature, which the guard's removal of the header must not break.
        if token:
            request.headers["x-ig-context"] = token

    client.meta.events.register("before-send.s3", carry)
    try:
        response = getattr(client, call["operation"])(**call["arguments"])
        body = response["Body"].read().decode() if "Body" in response else None
        names = [c["Key"] for c in response.get("Contents", [])]
        answers.append({"ok": True, "body": body, "keys": names})
    except botocore.exceptions.ClientError as error:
        answers.append(
            {
                "ok": False,
                "code": error.response["Error"]["Code"],
                "message": error.response["Error"].get("Message", ""),
                "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
            }
        )
json.dump(answers, sys.stdout)
