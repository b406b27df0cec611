# Which region serves a tenant, and whether this gateway may pass the request on.
#
# The input holds no time: where the tenant's home is now, and whether the warrant that the request
# presents is authentic, in force and covers what the request does, is worked out before.
package ig.residency

default decision := {
	"allow": false,
	"code": "TENANT_UNKNOWN",
	"reason": "the tenant is in no directory",
}

decision := denial("TENANT_QUARANTINED", "the tenant is in quarantine") if {
	home
	quarantined
} else := denial("REGION_UNKNOWN", "the directory names a region that does not exist") if {
	home
	not data.ig.regions[home]
} else := denial(input.warrant_refused.code, input.warrant_refused.reason) if {
	home
	is_object(input.warrant_refused)
} else := {
	"allow": true,
	"region": here,
	"reason": served_as,
} if {
	home
	count(crossings) == 0
} else := {
	"allow": true,
	"region": here,
	"warrant": input.warrant.id,
	"reason": "a warrant opens the border",
} if {
	warranted
} else := denial("WARRANT_REGIONS", "the warrant is for other regions") if {
	home
	is_object(input.warrant)
} else := object.union(denial("CROSS_REGION", concat("; ", sort(crossings))), elsewhere) if {
	home
}

# By being there, whatever is said about it.
quarantined if {
	some tenant, _ in data.ig.quarantine
	tenant == input.tenant
}

denial(code, reason) := {"allow": false, "region": home, "code": code, "reason": reason}

here := input.gateway_region

home := input.home if is_string(input.home)

# The regions that serve the tenant: its home, and what the directory lists beside it.

served contains home

served contains region if {
	home
	some region in data.ig.tenants[input.tenant].regions
}

served_as := "the tenant's own region" if home == here

else := "one of the tenant's regions"

crossings contains "the tenant's data is in another region than this gateway" if {
	home
	not here in served
}

crossings contains "the request asks for the data of another region than the tenant's" if {
	home
	is_string(input.data_region)
	not input.data_region in served
}

crossings contains "the request asks for the data of another region than this gateway's" if {
	here in served
	input.data_region in served
	input.data_region != here
}

# A warrant opens the border from the tenant's home to the region that asks, and no other.

default warranted := false

warranted if {
	home
	input.warrant.src == home
	input.warrant.dst == here
	not here in served
	asks_within_warrant
}

asks_within_warrant if not is_string(input.data_region)

asks_within_warrant if input.data_region in {input.warrant.src, input.warrant.dst}

# A request at the wrong region's gateway may be told where the right one is.

default elsewhere := {}

elsewhere := {
	"redirect": data.ig.regions[right].gateway,
	"status": {"redirect": 307, "misdirected": 421}[data.ig.misrouted.answer],
}

right := input.data_region if {
	input.data_region in served
	input.data_region != here
} else := home if {
	not is_string(input.data_region)
	not here in served
}
