logstore_test(test_mqtt mqtt_core)
# The plugin whole, on a host without sockets and without a bus: mqtt_fake.h.
logstore_test(test_mqtt_plugin mqtt_core)
target_sources(test_mqtt_plugin PRIVATE ${CMAKE_SOURCE_DIR}/plugins/mqtt/mqtt.c)
