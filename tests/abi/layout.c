/* layout -- where everything of ABI 1.0 lies on LP64, spelled out; compiled as C and as C++.
 *
 * A line here never changes within a major; a new one comes with every new member. */
#include <broker/plugin.h>

#include <assert.h>

#define AT(type, member, offset)                                                                   \
    static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")

#if UINTPTR_MAX == UINT64_MAX

AT(broker_str, ptr, 0);
AT(broker_str, len, 8);

AT(broker_bytes, ptr, 0);
AT(broker_bytes, len, 8);

AT(broker_buf, size, 0);
AT(broker_buf, reserved, 4);
AT(broker_buf, bytes, 8);
AT(broker_buf, len, 16);

AT(broker_msg, size, 0);
AT(broker_msg, flags, 4);
AT(broker_msg, stream, 8);
AT(broker_msg, partition, 24);
AT(broker_msg, sequence, 28);
AT(broker_msg, timestamp_ms, 32);
AT(broker_msg, publisher, 40);
AT(broker_msg, chain, 56);
AT(broker_msg, content, 72);
AT(broker_msg, raw, 88);
AT(broker_msg, signature, 104);
AT(broker_msg, prev_timestamp_ms, 120);
AT(broker_msg, prev_sequence, 128);
AT(broker_msg, body, 132);
AT(broker_msg, content_type, 133);
AT(broker_msg, encryption_type, 134);
AT(broker_msg, signature_type, 135);
AT(broker_msg, group_key_id, 136);
AT(broker_msg, new_key_id, 152);
AT(broker_msg, new_key_data, 168);
AT(broker_msg, origin, 184);

AT(broker_writer, size, 0);
AT(broker_writer, reserved, 4);
AT(broker_writer, write, 8);
AT(broker_writer, reserve, 16);
AT(broker_writer, commit, 24);

AT(broker_host, size, 0);
AT(broker_host, abi_major, 4);
AT(broker_host, abi_minor, 6);
AT(broker_host, log, 8);
AT(broker_host, fail, 16);
AT(broker_host, service, 24);

AT(broker_ctx, host, 0);

AT(broker_config, size, 0);
AT(broker_config, reserved, 4);
AT(broker_config, integer, 8);
AT(broker_config, boolean, 16);
AT(broker_config, string, 24);
AT(broker_config, json, 32);
AT(broker_config, shared, 40);
AT(broker_config, data_dir, 48);

AT(broker_outcome, code, 0);
AT(broker_outcome, reserved, 4);
AT(broker_outcome, reason, 8);

AT(broker_subscription, size, 0);
AT(broker_subscription, flags, 4);
AT(broker_subscription, stream, 8);
AT(broker_subscription, partition, 24);
AT(broker_subscription, reserved, 28);
AT(broker_subscription, on_msgs, 32);
AT(broker_subscription, self, 40);

AT(broker_frame, raw, 0);
AT(broker_frame, buf, 16);

AT(broker_admission, size, 0);
AT(broker_admission, flags, 4);
AT(broker_admission, frames, 8);
AT(broker_admission, n, 16);
AT(broker_admission, origin, 24);
AT(broker_admission, only_stream, 32);
AT(broker_admission, only_partition, 48);
AT(broker_admission, reserved, 52);
AT(broker_admission, done, 56);
AT(broker_admission, arg, 64);

AT(broker_publication, size, 0);
AT(broker_publication, flags, 4);
AT(broker_publication, stream, 8);
AT(broker_publication, partition, 24);
AT(broker_publication, content_type, 28);
AT(broker_publication, key, 32);
AT(broker_publication, chain, 48);
AT(broker_publication, timestamp_ms, 64);
AT(broker_publication, content, 72);
AT(broker_publication, done, 88);
AT(broker_publication, arg, 96);

AT(broker_bus, size, 0);
AT(broker_bus, reserved, 4);
AT(broker_bus, subscribe, 8);
AT(broker_bus, unsubscribe, 16);
AT(broker_bus, resume, 24);
AT(broker_bus, settle, 32);
AT(broker_bus, retain, 40);
AT(broker_bus, release, 48);
AT(broker_bus, admit, 56);
AT(broker_bus, on_room, 64);
AT(broker_bus, publish, 72);
AT(broker_bus, partitions, 80);
AT(broker_bus, buf_new, 88);
AT(broker_bus, buf_retain, 96);
AT(broker_bus, buf_release, 104);

AT(broker_carrier, size, 0);
AT(broker_carrier, reserved, 4);
AT(broker_carrier, self, 8);
AT(broker_carrier, on_interest, 16);
AT(broker_carrier, on_outgoing, 24);

AT(broker_transport, size, 0);
AT(broker_transport, reserved, 4);
AT(broker_transport, attach, 8);
AT(broker_transport, detach, 16);

AT(broker_checker, size, 0);
AT(broker_checker, kinds, 4);
AT(broker_checker, self, 8);
AT(broker_checker, check, 16);

AT(broker_verify, size, 0);
AT(broker_verify, reserved, 4);
AT(broker_verify, offer, 8);
AT(broker_verify, answer, 16);

AT(broker_header, name, 0);
AT(broker_header, value, 8);

AT(broker_response, size, 0);
AT(broker_response, status, 4);
AT(broker_response, type, 8);
AT(broker_response, headers, 16);
AT(broker_response, n_headers, 24);
AT(broker_response, body, 32);

AT(broker_body, size, 0);
AT(broker_body, reserved, 4);
AT(broker_body, self, 8);
AT(broker_body, pull, 16);
AT(broker_body, close, 24);
AT(broker_body, save, 32);

AT(broker_intake, size, 0);
AT(broker_intake, reserved, 4);
AT(broker_intake, self, 8);
AT(broker_intake, on_body, 16);
AT(broker_intake, on_abort, 24);
AT(broker_intake, save, 32);

AT(broker_route, size, 0);
AT(broker_route, flags, 4);
AT(broker_route, method, 8);
AT(broker_route, path, 16);
AT(broker_route, max_body, 24);
AT(broker_route, self, 32);
AT(broker_route, on_req, 40);
AT(broker_route, resume_body, 48);
AT(broker_route, resume_req, 56);

AT(broker_http, size, 0);
AT(broker_http, reserved, 4);
AT(broker_http, route, 8);
AT(broker_http, method, 16);
AT(broker_http, target, 24);
AT(broker_http, param, 32);
AT(broker_http, query, 40);
AT(broker_http, header, 48);
AT(broker_http, user, 56);
AT(broker_http, peer, 64);
AT(broker_http, receive, 72);
AT(broker_http, pause, 80);
AT(broker_http, resume, 88);
AT(broker_http, reply, 96);
AT(broker_http, stream, 104);
AT(broker_http, wake, 112);

AT(broker_access, size, 0);
AT(broker_access, reserved, 4);
AT(broker_access, required, 8);
AT(broker_access, check, 16);

AT(broker_peer_calls, size, 0);
AT(broker_peer_calls, reserved, 4);
AT(broker_peer_calls, self, 8);
AT(broker_peer_calls, on_open, 16);
AT(broker_peer_calls, on_data, 24);
AT(broker_peer_calls, on_drain, 32);
AT(broker_peer_calls, on_close, 40);

AT(broker_net_options, size, 0);
AT(broker_net_options, kind, 4);
AT(broker_net_options, host, 8);
AT(broker_net_options, port, 16);
AT(broker_net_options, max_message, 20);
AT(broker_net_options, low_water, 24);
AT(broker_net_options, high_water, 28);
AT(broker_net_options, connect_timeout_ms, 32);
AT(broker_net_options, ping_ms, 36);
AT(broker_net_options, silence_ms, 40);
AT(broker_net_options, max_connections, 44);
AT(broker_net_options, reserved, 48);
AT(broker_net_options, path, 56);
AT(broker_net_options, protocol, 64);
AT(broker_net_options, tls_cert_file, 72);
AT(broker_net_options, tls_key_file, 80);
AT(broker_net_options, tls_name, 88);

AT(broker_net, size, 0);
AT(broker_net, reserved, 4);
AT(broker_net, listen, 8);
AT(broker_net, port, 16);
AT(broker_net, unlisten, 24);
AT(broker_net, connect, 32);
AT(broker_net, upgrade, 40);
AT(broker_net, send, 48);
AT(broker_net, send_buf, 56);
AT(broker_net, pause, 64);
AT(broker_net, resume, 72);
AT(broker_net, queued, 80);
AT(broker_net, address, 88);
AT(broker_net, close, 96);
AT(broker_net, id, 104);
AT(broker_net, adopt, 112);
AT(broker_net, header, 120);

AT(broker_fetch_request, size, 0);
AT(broker_fetch_request, timeout_ms, 4);
AT(broker_fetch_request, method, 8);
AT(broker_fetch_request, url, 16);
AT(broker_fetch_request, headers, 24);
AT(broker_fetch_request, n_headers, 32);
AT(broker_fetch_request, body, 40);
AT(broker_fetch_request, max_answer, 56);
AT(broker_fetch_request, self, 64);
AT(broker_fetch_request, on_part, 72);
AT(broker_fetch_request, on_done, 80);

AT(broker_fetch, size, 0);
AT(broker_fetch, reserved, 4);
AT(broker_fetch, start, 8);
AT(broker_fetch, cancel, 16);
AT(broker_fetch, header, 24);

AT(broker_work, size, 0);
AT(broker_work, reserved, 4);
AT(broker_work, submit, 8);
AT(broker_work, timer, 16);
AT(broker_work, timer_stop, 24);
AT(broker_work, now_ms, 32);
AT(broker_work, clock_ms, 40);

AT(broker_metrics, size, 0);
AT(broker_metrics, reserved, 4);
AT(broker_metrics, counter, 8);
AT(broker_metrics, gauge, 16);
AT(broker_metrics, histogram, 24);
AT(broker_metrics, add, 32);
AT(broker_metrics, set, 40);
AT(broker_metrics, observe, 48);

AT(broker_registry, size, 0);
AT(broker_registry, reserved, 4);
AT(broker_registry, offer, 8);
AT(broker_registry, follow, 16);
AT(broker_registry, enter, 24);
AT(broker_registry, leave, 32);

AT(broker_sign, size, 0);
AT(broker_sign, reserved, 4);
AT(broker_sign, address, 8);
AT(broker_sign, message, 16);
AT(broker_sign, typed, 24);
AT(broker_sign, digest, 32);

AT(broker_node, size, 0);
AT(broker_node, reserved, 4);
AT(broker_node, state, 8);
AT(broker_node, version, 16);

AT(broker_plugin_table, size, 0);
AT(broker_plugin_table, reserved, 4);
AT(broker_plugin_table, config_schema, 8);
AT(broker_plugin_table, create, 16);
AT(broker_plugin_table, start, 24);
AT(broker_plugin_table, prepare, 32);
AT(broker_plugin_table, quiesce, 40);
AT(broker_plugin_table, destroy, 48);

AT(broker_manifest, size, 0);
AT(broker_manifest, abi_major, 4);
AT(broker_manifest, abi_minor, 6);
AT(broker_manifest, layout, 8);
AT(broker_manifest, flags, 12);
AT(broker_manifest, name, 16);
AT(broker_manifest, version, 48);

AT(broker_note, namesz, 0);
AT(broker_note, descsz, 4);
AT(broker_note, type, 8);
AT(broker_note, owner, 12);
AT(broker_note, manifest, 20);

/* It is read from files: its 1.0 size is fixed. */
static_assert(sizeof(broker_manifest) == 80, "broker_manifest has another size");
#endif
