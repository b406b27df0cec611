"""Asks a graph with the official Neo4j driver, as told on standard input; answers as JSON."""

import json
import logging
import sys

import neo4j
import neo4j.exceptions

logging.disable(logging.CRITICAL)
ask = json.load(sys.stdin)
answers = []
for call in ask["calls"]:
    auth = ("app", "secret")
    if "parameter" in call:
        auth = neo4j.custom_auth("app", "secret", "", "basic", ig_context=call["parameter"])
    settings = {"user_agent": call["agent"]} if "agent" in call else {}
    try:
        with neo4j.GraphDatabase.driver(
            ask["uri"],
            auth=auth,
            max_transaction_retry_time=0,
            connection_acquisition_timeout=20,
            telemetry_disabled=True,
            **settings,
        ) as driver:
            records, _, _ = driver.execute_query("RETURN 1 AS x", database_="acme")
            answers.append({"ok": True, "x": records[0]["x"]})
    except (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError) as error:
        answers.append(
            {
                "ok": False,
                "kind": type(error).__name__,
                "code": getattr(error, "code", None),
                "message": str(error),
            }
        )
json.dump(answers, sys.stdout)
