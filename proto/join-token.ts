/** Metadata key under which a rank of another machine presents the cluster's join token. */
export const JOIN_TOKEN_KEY = "moesaic-join-token";
