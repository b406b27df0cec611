# Which store of which region a service may open, for the tenant and the region in the context token
# that the region's gateway has signed.
package ig.egress

default decision := {
	"allow": false,
	"code": "TENANT_UNKNOWN",
	"reason": "the tenant is in no directory",
}

decision := {
	"allow": true,
	"reason": "the tenant's own region",
} if {
	count(refusals) == 0
	count(crossings) == 0
}

decision := {
	"allow": true,
	"reason": sprintf("warrant %s of %s, case %s", [input.warrant.id, input.warrant.authority, input.warrant.case]),
} if {
	count(refusals) == 0
	count(crossings) > 0
	warranted
}

decision := {
	"allow": false,
	"code": "CROSS_REGION",
	"reason": concat("; ", sort(crossings | faults)),
} if {
	count(refusals) == 0
	count(crossings) > 0
	not warranted
}

# Of several refusals the one whose code comes first is named.
decision := {
	"allow": false,
	"code": refusal.code,
	"reason": refusal.reason,
} if {
	known
	code := min({r.code | some r in refusals})
	refusal := [r | some r in refusals; r.code == code][0]
}

known if data.ig.tenants[input.tenant]

# What no warrant opens.
refusals contains {"code": "TENANT_UNKNOWN", "reason": "the tenant is in no directory"} if not known

refusals contains {"code": "TENANT_QUARANTINED", "reason": "the tenant is in quarantine"} if {
	some tenant, _ in data.ig.quarantine
	tenant == input.tenant
}

refusals contains {"code": "REGION_UNKNOWN", "reason": "the store is in a region that does not exist"} if {
	known
	not data.ig.regions[input.store.region]
}

refusals contains {"code": "OBJECT_FOREIGN", "reason": "the bucket, database or user is another tenant's"} if {
	input.store.tenant != input.tenant
}

crossings contains "the tenant's data is in another region than the store" if not lives_there

lives_there if input.home == input.store.region

# All regions that serve the tenant, its home among them.
lives_there if input.store.region in data.ig.tenants[input.tenant].regions

crossings contains "the store is in another region than this guard" if input.region != input.store.region

# A warrant lets data leave `src` and be worked on in `dst`: each of home, store and guard is one of the
# two, and what is done is what it is for.
default warranted := false

warranted if {
	is_object(input.warrant)
	count(faults) == 0
}

# By being there, whatever is said about it.
faults contains "the warrant is revoked" if {
	some id, _ in data.ig.revocations
	id == input.warrant.id
}

faults contains "the warrant is not for data of the tenant's region" if input.warrant.src != input.home

faults contains "the warrant is not for work in this region" if input.warrant.dst != input.region

faults contains "the warrant is for other regions than the store's" if {
	is_object(input.warrant)
	not input.store.region in {input.warrant.src, input.warrant.dst}
}

faults contains "the warrant is not for this operation" if {
	is_object(input.warrant)
	some operation in needed
	not operation in input.warrant.operations
}

# Through a connection anything can be done: a warrant must be for all of it.
default needed := {"read", "write", "delete"}

needed := {input.operation} if input.operation in {"read", "write", "delete"}
