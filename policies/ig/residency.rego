# Which region serves a tenant, and whether this gateway may pass the request on.
package ig.residency

default decision := {
	"allow": false,
	"code": "TENANT_UNKNOWN",
	"reason": "the tenant is in no directory",
}

home := data.ig.tenants[input.tenant].region

decision := {
	"allow": true,
	"region": home,
	"reason": "the tenant's own region",
} if {
	count(crossings) == 0
	data.ig.regions[home]
}

decision := {
	"allow": false,
	"region": home,
	"code": "CROSS_REGION",
	"reason": concat("; ", sort(crossings)),
} if {
	home
	count(crossings) > 0
	not warranted
}

decision := {
	"allow": false,
	"code": "REGION_UNKNOWN",
	"reason": "the directory names a region that does not exist",
} if {
	home
	count(crossings) == 0
	not data.ig.regions[home]
}

crossings contains "the tenant's data is in another region than this gateway" if {
	home
	home != input.gateway_region
}

crossings contains "the request asks for the data of another region than the tenant's" if {
	home
	is_string(input.data_region)
	home != input.data_region
}

# A warrant opens the border. None can be verified yet, so none opens it.
default warranted := false
