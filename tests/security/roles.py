"""Who may call what: one line for every address of the application.

The words are levels, each of which includes the ones after it:

========== ==========================================================================================
open       nobody is asked who they are
own        the address has a way of its own to know callers (OAuth client, CSRF form, signature)
anyone     anonymous callers too, but wrong credentials are refused
user       whoever is logged in; what they may not see is not found
pi         who leads a proposal, or staff
placer     who may place observations: members of a proposal with direct submission, or staff
staff      staff
superuser  superusers
========== ==========================================================================================
"""

_CONFIGDB_COLLECTIONS = """
sites enclosures telescopes cameratypes opticalelements opticalelementgroups cameras configurationtypes
instrumentcategories modetypes genericmodes instrumenttypes configurationtypeproperties genericmodegroups
instruments
"""

_ARCHIVE = """
/                                            GET:open
/robots.txt                                  GET:open
/robots.txt/                                 GET:open
/profile/                                    GET:anyone
/frames/                                     GET:anyone POST:superuser
/frames/aggregate/                           GET:anyone
/frames/zip/                                 POST:anyone
/frames/{frame_id}/                          GET:anyone PATCH:superuser PUT:superuser DELETE:superuser
/frames/{frame_id}/headers/                  GET:anyone
/frames/{frame_id}/related/                  GET:anyone
/frame-funpack/{frame_id}/funpack/           GET:anyone
/frame-catalog/{frame_id}/catalog/           GET:anyone
/versions/                                   GET:staff
/versions/{version_id}/                      GET:staff
/versions/{version_id}/file/{filename}/      GET:own HEAD:own
/thumbnails/                                 GET:anyone POST:superuser
/thumbnails/{thumbnail_id}/                  GET:anyone PATCH:superuser PUT:superuser DELETE:superuser
/thumbnails/{thumbnail_id}/file/{filename}/  GET:own HEAD:own
/api-token-auth/                             POST:own
/revoke_token/                               POST:user
"""

_REST = """
/openapi.json                                GET:open HEAD:open
/openapi/                                    GET:open
/docs                                        GET:open
/docs/assets                                 MOUNT:open
/redoc                                       GET:open
/health                                      GET:open
/health/                                     GET:open
/ready                                       GET:open
/ready/                                      GET:open
/metrics                                     GET:open
/api/clock/                                  GET:open
/api/                                        GET:open
/create/                                     GET:open

/configdb/                                   GET:anyone
/configdb/html/{path}/                       GET:anyone
/configdb/openapi/                           GET:open
/configdb/api/availability_history/          GET:anyone
/configdb/api/admin/revisions/               GET:staff
/configdb/api/admin/versions/{key}/revert/   POST:staff
/configdb/api/admin/instruments/state/       POST:staff
/configdb/api/admin/instruments/{key}/clone/ POST:staff
/configdb/api/admin/file/                    GET:staff POST:staff
/configdb/api/admin/file/schema/             GET:open
/configdb/authprofile/addupdateuser/         POST:own

/downtime/                                   GET:open
/downtime/openapi/                           GET:open
/downtime/api/                               GET:anyone POST:staff
/downtime/api/{key}/                         GET:anyone DELETE:staff
/downtime/api/admin/{key}/                   PATCH:staff
/downtime/authprofile/addupdateuser/         POST:own

/accounts/login/                             GET:own POST:own
/accounts/api-login/                         POST:own
/accounts/logout/                            GET:own POST:own
/accounts/loggedinstate/                     GET:own
/accounts/register/                          GET:own POST:own
/accounts/register/complete/                 GET:own
/accounts/register/closed/                   GET:own
/accounts/activate/complete/                 GET:own
/accounts/activate/resend/                   GET:own POST:own
/accounts/activate/{key}/                    GET:own
/accounts/password/change/                   GET:own POST:own
/accounts/password/change/done/              GET:own
/accounts/password/reset/                    GET:own POST:own
/accounts/password/reset/done/               GET:own
/accounts/password/reset/complete/           GET:own
/accounts/password/reset/confirm/{user}/{token}/       GET:own
/accounts/password/reset/confirm/{user}/set-password/  POST:own
/o/authorize/                                GET:own POST:own
/o/token/                                    POST:own
/o/revoke_token/                             POST:own
/o/introspect/                               POST:own
/o/.well-known/openid-configuration          GET:open
/o/.well-known/openid-configuration/         GET:open
/o/.well-known/jwks.json                     GET:open
/o/userinfo/                                 GET:own

/api/api-token-auth/                         POST:own
/api/profile/                                GET:user PATCH:user PUT:user
/api/profile/accept_terms/                   POST:user
/api/revoke_token/                           POST:user
/api/account_removal_request/                POST:user
/api/users-bulk/                             POST:pi

/api/semesters/                              GET:anyone
/api/semesters/{semester_id}/                GET:anyone
/api/semesters/{semester_id}/proposals/      GET:anyone
/api/semesters/{semester_id}/timeallocations/          GET:staff
/api/proposals/                              GET:user
/api/proposals/tags/                         GET:user
/api/proposals/{proposal_id}/                GET:user
/api/proposals/{proposal_id}/notification/   POST:user
/api/proposals/{proposal_id}/invite/         POST:user
/api/proposals/{proposal_id}/globallimit/    POST:user
/api/memberships/                            GET:user
/api/memberships/{membership_id}/            GET:user DELETE:user
/api/memberships/{membership_id}/limit/      POST:user
/api/invitations/                            GET:user
/api/invitations/{invitation_id}/            GET:user DELETE:user

/api/requestgroups/                          GET:anyone POST:user
/api/requestgroups/validate/                 POST:user
/api/requestgroups/max_allowable_ipp/        POST:user
/api/requestgroups/cadence/                  POST:user
/api/requestgroups/schedulable_requests/     GET:staff
/api/requestgroups/{id}/                     GET:anyone
/api/requestgroups/{id}/cancel/              POST:user
/api/requests/                               GET:anyone
/api/requests/mosaic/                        POST:user
/api/requests/{id}/                          GET:anyone PATCH:staff
/api/requests/{id}/airmass/                  GET:anyone
/api/requests/{id}/why/                      GET:anyone
/api/requests/{id}/telescope_states/         GET:anyone
/api/requests/{id}/observations/             GET:anyone
/api/requests/{request_id}/schedule-explanation/       GET:anyone
/api/configurations/dither/                  POST:user
/api/last_changed/                           GET:staff
/api/airmass/                                POST:anyone
/api/instruments/                            GET:anyone
/api/contention/{instrument_type}/           GET:anyone
/api/pressure/                               GET:anyone
/api/telescope_states/                       GET:anyone
/api/telescope_availability/                 GET:anyone
/api/telescope_events/                       GET:anyone POST:staff
/api/seeing/                                 GET:anyone POST:staff
/api/drafts/                                 GET:user POST:user
/api/drafts/{id}/                            GET:user PUT:user PATCH:user DELETE:user

/api/schedule/                               GET:anyone POST:placer
/api/schedule/{id}/                          GET:anyone
/api/observations/                           GET:anyone POST:placer
/api/observations/filters/                   GET:open
/api/observations/cancel/                    POST:placer
/api/observations/{id}/                      GET:anyone PATCH:placer
/api/realtime/                               GET:user POST:user
/api/realtime/availability/                  GET:user
/api/realtime/{id}/                          GET:user DELETE:user
/api/configurationstatus/                    GET:staff
/api/configurationstatus/{id}/               GET:staff PATCH:staff
/api/last_scheduled/                         GET:staff

/api/visibility/                             POST:open
/api/sites/{site}/nights/                    GET:open
/api/skymap/                                 GET:open

/api/scheduler/runs/                         GET:staff
/api/scheduler/runs/{run_id}/                GET:staff
/api/scheduler/dry-run/                      POST:staff
/api/ingest/                                 GET:staff
/api/ingest/{file_id}/retry/                 POST:staff
"""


def _read(table: str, prefix: str = "") -> dict[tuple[str, str], str]:
    entries = {}
    for line in filter(None, table.splitlines()):
        path, *rules = line.split()
        for rule in rules:
            method, _, level = rule.partition(":")
            entries[method, prefix + path] = level
    return entries


LEVELS: dict[tuple[str, str], str] = _read(_ARCHIVE) | _read(_ARCHIVE, "/archive") | _read(_REST)
for _name in _CONFIGDB_COLLECTIONS.split():
    LEVELS |= _read(
        f"/configdb/{_name}/ GET:anyone POST:staff\n"
        f"/configdb/{_name}/{{key}}/ GET:anyone PUT:staff PATCH:staff DELETE:staff"
    )
