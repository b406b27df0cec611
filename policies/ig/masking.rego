# What a caller may see, by role, purpose and risk.
#
# Asked once a request, for all classified fields (data.ig.fields) at once: the filter lays the
# answer over the schema's @mask directives. Where no rule here speaks of a coordinate, its
# directive stands.
package ig.masking

default decision := {
	"allow": false,
	"denials": [{"code": "POLICY_DENIED", "reason": "no rule of the policy allows this request"}],
}

decision := {"allow": false, "denials": sort(denials)} if count(denials) > 0

decision := {
	"allow": true,
	"admin": is_admin,
	"errors": error_detail,
	"introspection": introspects,
	"low_entropy": low_entropy,
	"rules": rules,
} if count(denials) == 0

# Who is refused altogether.

denials contains {"code": "TENANT_UNKNOWN", "reason": "the tenant is in no directory"} if {
	not data.ig.tenants[input.tenant]
}

denials contains {"code": "ROLE_UNKNOWN", "reason": "the token names no role that the policy knows"} if {
	count(roles) == 0
}

denials contains {"code": "PURPOSE_UNKNOWN", "reason": "the policy does not know this purpose"} if {
	is_string(input.purpose)
	not data.ig.purposes[input.purpose]
}

# What is known of the caller.

roles contains role if {
	some role in input.roles
	data.ig.roles[role]
}

default is_admin := false

is_admin if {
	some role in roles
	data.ig.roles[role].administers
	data.ig.purposes[input.purpose].administers
}

default error_detail := "generic"

error_detail := "verbatim" if is_admin

default introspects := false

introspects if {
	some role in roles
	data.ig.roles[role].introspects
}

# How strongly the caller authenticated. An unknown way counts as the weakest; what a grant asks for
# and nobody knows is out of reach.

default acr := 0

acr := data.ig.acr.levels[input.acr]

needed_acr(grant) := 0 if not grant.min_acr

else := object.get(data.ig.acr.levels, grant.min_acr, 1000000)

# Exports carry thousands of rows away: there only grants that speak of exports count, and nobody's
# role is enough.

default exporting := false

exporting if input.surface == "export"

# Risk: the higher of the tenant's and the caller's own; unknown levels count as the highest.
# Without any levels every risk is the highest.

default highest_risk := 0

highest_risk := max({level | some level in data.ig.risk.levels})

default tenant_risk := 0

tenant_risk := risk_level(data.ig.tenants[input.tenant].risk)

default subject_risk := 0

subject_risk := risk_level(data.ig.risk.subjects[input.subject])

risk_level(name) := object.get(data.ig.risk.levels, name, highest_risk)

risk := max({tenant_risk, subject_risk})

# How far a grant reaches. One that names an unknown level reaches nobody.
reach(grant) := object.get(data.ig.risk.levels, grant.max_risk, -1)

# What is classified: the fields that the data names, and those that the schema tags with a name that
# the data knows. Of several such tags the strictest counts.

classified[coordinate] := field if some coordinate, field in data.ig.fields

classified[coordinate] := field if {
	some coordinate, tags in data.ig.schema.tags
	not data.ig.fields[coordinate]
	fields := [data.ig.tags[tag] |
		some strategy in ["redact", "null", "hash", "partial"]
		some tag in tags
		data.ig.tags[tag].strategy == strategy
	]
	field := fields[0]
}

# Where values are so few that a pseudonym could be guessed.

low_entropy := sort([coordinate |
	some coordinate, field in classified
	field.entropy == "low"
])

# One rule a classified field.

rules[coordinate] := rule if {
	some coordinate, field in classified
	rule := object.union(field_rule(field), {"class": field.class})
}

field_rule(field) := {"strategy": "reveal", "reason": "role=admin"} if {
	is_admin
	not exporting
}

else := {"strategy": "redact", "reason": "risk=high"} if risk >= highest_risk

else := {"strategy": "reveal", "reason": reason} if {
	some grant in grants(field)
	acr >= needed_acr(grant)
	reason := sprintf("role=%s, purpose=%s", [grant.role, grant.purpose])
}

else := object.union(masked(field), {"reason": reason}) if {
	some grant in grants(field)
	reason := sprintf("acr<%s", [grant.min_acr])
}

else := {"strategy": "redact", "reason": "export without a purpose that grants it"} if exporting

else := object.union(masked(field), {"reason": "role!=admin"})

# The grants that would show the field to this caller, however they authenticated.
grants(field) := [grant |
	some grant in data.ig.grants
	grant.role in roles
	grant.purpose == input.purpose
	field.class in grant.classes
	risk <= reach(grant)
	reaches_surface(grant)
]

reaches_surface(_) if not exporting

reaches_surface(grant) if grant.exports

masked(field) := {"strategy": "redact"} if exporting

else := object.remove(field, ["class", "entropy"])
